import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import type { Session } from "../../runtime/domain/index.js";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { doorOf, rpcTo, running, type Door } from "../support/door.js";
import { recorded } from "../support/recorded.js";

const HOST = "agent-1";
const SLOW = { timeoutMs: 120_000 };
const of = (name: string): string => `convocate:t-prune-${process.pid}-${name}`;
const foreign = [`t-foreign:${process.pid}`, `other/convocate:${process.pid}`];

let cluster: TestCluster;
let door: Door;
let agent: Awaited<ReturnType<typeof rpcTo>>;
let current: string;
const made: Session[] = [];

const sh = (script: string): Promise<string> => cluster.lab.sh(HOST, script, { timeoutMs: 120_000 });
const setCurrent = (image: string): string =>
  `echo ${image} >/etc/convocate-agent/.t-current; mv /etc/convocate-agent/.t-current /etc/convocate-agent/current-image;`;
/** Another image on the current one, as another release's would be. */
const build = (tag: string): string =>
  `printf 'FROM ${current}\\nLABEL t=${randomUUID()}\\n' | DOCKER_BUILDKIT=0 docker build -q -t ${tag} - >/dev/null;`;
const PRUNE = "/etc/cron.daily/convocate-image-prune";
const ours = async (): Promise<string[]> =>
  (await sh("docker image ls --format '{{.Repository}}:{{.Tag}}' convocate")).trim().split("\n").sort();
const dangling = async (label = ""): Promise<number> =>
  Number(await sh(`docker image ls -q --filter dangling=true ${label} | wc -l`));

async function create(name: string, start: boolean): Promise<Session> {
  const params = { request_id: randomUUID(), name: `prune-${name}`, start };
  const session = await agent.rpc.call("create", params, SLOW);
  made.push(session);
  return start ? await running(agent.rpc, session.id) : session;
}

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  door = await doorOf(cluster, HOST);
  agent = await rpcTo(door);
  current = (await sh("cat /etc/convocate-agent/current-image")).trim();
}, 1_200_000);
afterAll(async () => {
  await sh(setCurrent(current));
  for (const { id } of made) await agent.rpc.call("delete", { id }, SLOW).catch(() => undefined);
  await agent[Symbol.asyncDispose]();
  await sh(`docker image rm -f ${[...foreign, of("old"), of("none"), of("same")].join(" ")} >/dev/null 2>&1 || :`);
  await cluster.close();
}, 180_000);

test("the daily job keeps what running, stopped and never-started sessions need, and touches nothing foreign", async () => {
  const before = await ours();
  await sh(
    `${build(of("old"))} ${build(of("none"))} ${build(of("none"))} docker tag ${current} ${of("same")}
     for name in ${foreign.join(" ")}; do tar -C /etc -c hostname | docker import - $name >/dev/null; done
     tar -C /etc -c hosts | docker import - ${foreign[0]} >/dev/null; ${setCurrent(of("old"))}`,
  );
  await create("runs", true);
  const stopped = await create("stopped", true);
  await agent.rpc.call("kill", { id: stopped.id }, SLOW);
  await sh(setCurrent(current));
  const never = await create("never", false);

  await sh(
    `mv /etc/convocate-agent/current-image /root/t-current; ${PRUNE}; mv /root/t-current /etc/convocate-agent/current-image`,
  );
  expect(await ours()).toEqual([...before, of("none"), of("old"), of("same")].sort());
  const danglingBefore = { all: await dangling(), ours: await dangling("--filter label=convocate.recipe") };
  expect(danglingBefore.ours).toBeGreaterThanOrEqual(1);
  expect(danglingBefore.all).toBeGreaterThan(danglingBefore.ours);

  await sh(PRUNE);
  // Other tests' images of this agent were as needless.
  expect(await ours()).toEqual([current, of("old")].sort());
  expect(await dangling("--filter label=convocate.recipe")).toBe(0);
  expect(await dangling()).toBe(danglingBefore.all - danglingBefore.ours);
  await sh(`docker image inspect ${foreign.join(" ")} >/dev/null`);
  await agent.rpc.call("restart", { id: never.id }, SLOW);
  await running(agent.rpc, never.id);

  for (const { id } of made.splice(0)) await agent.rpc.call("delete", { id }, SLOW);
  await sh(PRUNE);
  expect(await ours()).toEqual([current]);
  const pruned = async (): Promise<unknown[]> =>
    (await recorded(cluster, door.agentId))
      .filter(({ type }) => type === "image.pruned")
      .map(({ data }) => data["image"]);
  await eventually("image.pruned of both at the shell", async () => {
    const told = await pruned();
    return [of("old"), of("none"), of("same")].every((image) => told.includes(image));
  });
}, 300_000);

test("sessions that are started while an update names another image and the old one is pruned run all the same", async () => {
  for (let round = 0; round < 3; round++) {
    await sh(`${build(of("old"))} ${setCurrent(of("old"))}`);
    await Promise.all([create(`race-${round}`, true), sh(`sleep 0.${round}; ${setCurrent(current)} ${PRUNE}`)]);
  }
}, 300_000);
