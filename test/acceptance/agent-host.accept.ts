import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import type { Adoption } from "../../runtime/agent/index.js";
import { newSessionId } from "../../runtime/domain/index.js";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { doorOf, rpcTo, running, type Door } from "../support/door.js";
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

test("what an earlier release left is adopted when the agent starts, or by install: served, told, refused with reasons", async () => {
  const [atStart, byInstall, bad] = [newSessionId(), newSessionId(), newSessionId()];
  const name = (uuid: string): string => `former-${uuid.slice(0, 8)}`;
  const leave = async (uuid: string, change: object = {}): Promise<string> => {
    const former = {
      uuid,
      name: name(uuid),
      created_at: "2025-01-02T03:04:05.123456789Z",
      last_accessed: "2025-02-03T04:05:06Z",
      port: 0,
      protocol: "tcp",
      dns_name: "",
      ...change,
    };
    const script = `cd /home/claude; mkdir ${uuid}; cat >${uuid}/session.json; echo kept >${uuid}/work; chown -R claude:claude ${uuid}`;
    return await cluster.lab.sh("agent-1", script, { input: JSON.stringify(former) });
  };
  const install = async (): Promise<Adoption> =>
    JSON.parse(await cluster.lab.sh("agent-1", "convocate-agent install --json")) as Adoption;
  const serving = (): ReturnType<typeof rpcTo> =>
    eventually("the agent to serve again", () => rpcTo(door).catch(() => undefined));
  const told = async (): Promise<(string | undefined)[]> =>
    (await recorded(cluster, door.agentId)).flatMap(({ type, session_id }) =>
      type === "container.created" ? [session_id] : [],
    );
  await leave(atStart);
  await leave(bad, { name: "a;b", port: 222 });
  try {
    await cluster.lab.sh("agent-1", "systemctl restart convocate-agent");
    {
      await using agent = await serving();
      expect(await agent.rpc.call("get", { id: atStart })).toMatchObject({
        name: name(atStart),
        created_at: "2025-01-02T03:04:05.123Z",
        status: { state: "stopped" },
      });
      await agent.rpc.call("restart", { id: atStart }, { timeoutMs: 60_000 });
      await running(agent.rpc, atStart);
      const seen = await cluster.lab.sh("agent-1", `docker exec convocate-session-${atStart} cat /home/claude/work`);
      expect(seen).toBe("kept\n");
    }
    expect(await cluster.lab.sh("agent-1", "journalctl -u convocate-agent --since -5min -o cat")).toContain(bad);

    await leave(byInstall);
    const first = await install();
    expect(first.adopted).toEqual([{ id: byInstall, name: name(byInstall) }]);
    expect(first.refused).toEqual([{ directory: bad, reason: expect.stringMatching(/^name in its session.json/) }]);
    expect(await install()).toEqual({ adopted: [], known: first.known + 1, refused: first.refused });
    await using agent = await serving();
    await eventually("the shell to be told of both", async () => {
      const ids = await told();
      return [atStart, byInstall].every((id) => ids.filter((one) => one === id).length === 1);
    });
    for (const id of [atStart, byInstall]) await agent.rpc.call("delete", { id }, { timeoutMs: 60_000 });
  } finally {
    await cluster.lab.sh("agent-1", `rm -rf /home/claude/${bad}`);
  }
}, 180_000);
