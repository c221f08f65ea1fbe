import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { doorOf, eventually, type Door } from "../support/door.js";
import { recorded } from "../support/recorded.js";

let cluster: TestCluster;
let door: Door;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  door = await doorOf(cluster, "agent-1");
}, 1_200_000);

afterAll(async () => {
  await cluster.close();
});

test("an image that is loaded and one that is pruned on an agent reach the shell, once each", async () => {
  const image = `convocate:t-${randomUUID()}`;
  const told = async (): Promise<string[]> =>
    (await recorded(cluster, door.agentId)).filter(({ data }) => data["image"] === image).map(({ type }) => type);
  const current = (await cluster.lab.sh("agent-1", "cat /etc/convocate-agent/current-image")).trim();
  await cluster.lab.sh("agent-1", `docker tag ${current} ${image}`);
  await eventually("image.loaded at the shell", async () => (await told()).length > 0);
  // While nobody watches.
  await cluster.lab.sh(
    "agent-1",
    `systemctl stop convocate-agent; docker image rm ${image}; systemctl start convocate-agent`,
  );
  await eventually("image.pruned at the shell", async () => (await told()).length > 1);
  expect(await told()).toEqual(["image.loaded", "image.pruned"]);
}, 120_000);

test.each([
  ["agent-1", "convocate-agent"],
  ["shell", "convocate-status"],
])("on %s, %s is exposed to no more than 3.0 by systemd's own measure", async (host, unit) => {
  const table = await cluster.lab.sh(host, `systemd-analyze security --no-pager ${unit}.service`);
  const score = Number(/Overall exposure level for .*: ([0-9.]+)/.exec(table)?.[1]);
  console.log(`${unit}: ${score}`);
  expect(score).toBeGreaterThan(0);
  expect(score).toBeLessThanOrEqual(3.0);
});
