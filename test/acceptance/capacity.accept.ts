import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import type { Capacity, Session, SessionId } from "../../runtime/domain/index.js";
import type { OpInput } from "../../runtime/protocol/rpc/ops.js";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { doorOf, rpcTo, running, type Door } from "../support/door.js";

const MIB = 1024 * 1024;

let cluster: TestCluster;
let door: Door;
const made = new Set<SessionId>();

const on = (script: string): Promise<string> => cluster.lab.sh("agent-2", script);
const container = (id: string): string => `convocate-session-${id}`;

async function capacity(): Promise<Capacity> {
  await using agent = await rpcTo(door);
  return await agent.rpc.call("capacity", {});
}

async function create(params: Partial<OpInput<"create">>): Promise<Session> {
  await using agent = await rpcTo(door);
  const session = await agent.rpc.call(
    "create",
    { request_id: randomUUID(), name: "capacity", limits: { memory_bytes: 512 * MIB }, ...params },
    { timeoutMs: 120_000 },
  );
  made.add(session.id);
  return session;
}

async function get(id: SessionId): Promise<Session> {
  await using agent = await rpcTo(door);
  return await agent.rpc.call("get", { id });
}

async function removeAll(): Promise<void> {
  await using agent = await rpcTo(door);
  for (const id of made) await agent.rpc.call("delete", { id }, { timeoutMs: 60_000 });
  made.clear();
}

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  door = await doorOf(cluster, "agent-2");
}, 1_200_000);

afterAll(async () => {
  await removeAll();
  await cluster.close();
}, 120_000);

test("16 creates at once never pass the cap, and what is refused says figures that add up", async () => {
  const before = await capacity();
  // Room for three of these beside whatever a test before this one left.
  const each = (before.allowed.cpus - before.pledged.cpus) / 3.5;
  const cpus = Math.floor(each * 1000) / 1000;
  const params = { start: true, port: -1, limits: { cpus, memory_bytes: 256 * MIB } };
  const outcomes = await Promise.allSettled(Array.from({ length: 16 }, () => create(params)));
  const started = outcomes.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  expect(started).toHaveLength(3);
  expect(new Set(started.map(({ port }) => port)).size).toBe(3);

  const after = await capacity();
  expect(after.pledged.sessions).toBe(before.pledged.sessions + 3);
  expect(after.pledged.cpus).toBeCloseTo(before.pledged.cpus + 3 * cpus, 6);
  expect(after.pledged.cpus).toBeLessThanOrEqual(after.allowed.cpus);

  const form =
    /^admission denied: would push convocate-sessions\.slice to ([\d.]+)% of host CPU \(([\d.]+) of ([\d.]+) cores allowed\); current usage ([\d.]+) cores across (\d+) sessions$/;
  const refused = outcomes.flatMap((one) =>
    one.status === "rejected" ? [one.reason as { code: string; message: string }] : [],
  );
  expect(refused).toHaveLength(13);
  for (const { code, message } of refused) {
    expect({ code, message }).toEqual({ code: "ADMISSION_DENIED", message: expect.stringMatching(form) });
    const [percent, would, allowed, current, sessions] = form.exec(message)!.slice(1).map(Number) as [
      number,
      number,
      number,
      number,
      number,
    ];
    expect(Math.abs(would - current - cpus)).toBeLessThan(0.11);
    expect(Math.abs(percent - (would / before.total.cpus) * 100)).toBeLessThan(6);
    expect(would).toBeGreaterThan(allowed);
    expect(sessions).toBe(before.pledged.sessions + 3);
  }
  // What was refused left nothing behind.
  await using agent = await rpcTo(door);
  const { sessions } = await agent.rpc.call("list", {});
  expect(sessions.filter(({ name }) => name === "capacity")).toHaveLength(3);

  // A stranger's container in the slice counts like one of ours.
  await agent.rpc.call("kill", { id: started[0]!.id }, { timeoutMs: 60_000 });
  await on(
    `docker run -d --name t-stranger --cgroup-parent convocate-sessions.slice --cpus ${cpus} --entrypoint sleep "$(cat /etc/convocate-agent/current-image)" 600`,
  );
  try {
    await expect(agent.rpc.call("restart", { id: started[0]!.id })).rejects.toMatchObject({ code: "ADMISSION_DENIED" });
  } finally {
    await on("docker rm -f t-stranger");
  }
  await removeAll();
}, 300_000);

test("16 creates at once, not started, get 16 ports", async () => {
  const sessions = await Promise.all(Array.from({ length: 16 }, () => create({ port: -1 })));
  expect(new Set(sessions.map(({ port }) => port)).size).toBe(16);
  await removeAll();
}, 120_000);

test("capacity tells the slice's live use, and a changed percentage is in force at once", async () => {
  const { id } = await create({ start: true });
  await on(`docker exec -d -u 1337 ${container(id)} timeout 90 sh -c 'while :; do :; done'`);
  await eventually(
    "live use of a processor",
    async () => {
      const { used } = await capacity();
      return used.cpus !== null && used.cpus > 0.1 && used.memory_bytes !== null && used.memory_bytes > 10 * MIB;
    },
    // Longer apart than two questions that share one answer.
    { timeoutMs: 60_000, everyMs: 1_500 },
  );
  await using agent = await rpcTo(door);
  await agent.rpc.call("settings-set", { changes: { memory_percent: 1 } });
  try {
    await expect(create({ start: true })).rejects.toMatchObject({
      code: "ADMISSION_DENIED",
      message: expect.stringContaining("of host memory"),
    });
    // The refusal of a forced restart costs nothing.
    await expect(agent.rpc.call("restart", { id, force: true })).rejects.toMatchObject({ code: "ADMISSION_DENIED" });
    expect((await get(id)).status.state).toBe("running");
  } finally {
    await agent.rpc.call("settings-set", { changes: { memory_percent: null } });
  }
  await removeAll();
}, 120_000);

test("one that eats memory is killed in its own limit, its row says so within 5 s, and another does not notice", async () => {
  const quiet = await create({ start: true });
  const greedy = await create({ name: "greedy", start: true, limits: { memory_bytes: 256 * MIB } });
  await using agent = await rpcTo(door);
  await running(agent.rpc, greedy.id);
  const pid = (id: string): Promise<string> => on(`docker inspect -f '{{.State.Pid}}' ${container(id)}`);
  const before = await pid(quiet.id);
  // Bounded by itself, too: 600 MB and no more, whatever the limit does.
  await on(`docker exec -d -u 1337 ${container(greedy.id)} sh -c 'head -c 600000000 /dev/zero | tail | wc -c'`);
  const killed = Date.now();
  const row = await eventually("the row to say it", async () => {
    const { status } = await get(greedy.id);
    const said =
      status.state === "running" ? (status.oom_kills ?? 0) > 0 : status.state === "stopped" && status.oom_killed;
    return said && status;
  });
  console.log(`the row said so ${Date.now() - killed} ms after the eater was started: ${JSON.stringify(row)}`);
  const { stdout } = await cluster.convocate(["ls"]);
  expect(stdout.split("\n").find((line) => line.includes("greedy"))).toContain("OOM-killed");
  expect(await pid(quiet.id)).toBe(before);
  expect((await get(quiet.id)).status).not.toHaveProperty("oom_kills");
  await removeAll();
}, 180_000);

test("a fork bomb ends at its pids limit, and another session does not notice", async () => {
  const quiet = await create({ start: true });
  const bomb = await create({ start: true, limits: { memory_bytes: 512 * MIB, pids: 96, cpus: 0.3 } });
  // A container that cannot even start its CLI ends, and shows nothing of what is asked here.
  await using early = await rpcTo(door);
  await eventually("both to have started", async () => {
    const { status } = await early.rpc.call("get", { id: bomb.id });
    return status.state === "running" && status.starting !== true;
  });
  // Ends by itself after a few seconds, too.
  await on(
    `docker exec -d -u 1337 ${container(bomb.id)} timeout -s KILL 60 bash -c 'for i in $(seq 2000); do sleep 40 & done; wait' 2>/dev/null`,
  );
  const count = async (): Promise<number> =>
    Number(await on(`docker top ${container(bomb.id)} -eo pid | tail -n +2 | wc -l`));
  await eventually("the limit to be met", async () => (await count()) >= 60);
  expect(await count()).toBeLessThanOrEqual(96);
  const said = await on(`docker exec -u 1337 ${container(quiet.id)} sh -c 'sleep 0.1 & wait; echo fine'`);
  expect(said.trim()).toBe("fine");
  await using agent = await rpcTo(door);
  await agent.rpc.call("kill", { id: bomb.id }, { timeoutMs: 60_000 });
  await removeAll();
}, 180_000);
