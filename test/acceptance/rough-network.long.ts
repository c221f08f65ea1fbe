import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Session } from "../../runtime/domain/index.js";
import { attachThrough } from "../support/attach-through.js";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { doorOf, rpcTo, running, TestAttach, type Door } from "../support/door.js";
import { startProxy, type Proxy } from "../support/proxy.js";

/** The shell's own attach to a real session of a real agent, with a bad network between the two. */
const SIZE = { cols: 100, rows: 30 };
/** The network at its worst: 400 ms there and back, byte by byte. */
const DELAY_MS = 200;

let cluster: TestCluster;
let door: Door;
let session: Session;
let proxy: Proxy;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  door = await doorOf(cluster, "agent-1");
  proxy = await startProxy(() => ({ host: door.host, port: door.port }));
  await using agent = await rpcTo(door);
  const params = { request_id: randomUUID(), name: "rough-network", start: true };
  session = await agent.rpc.call("create", params, { timeoutMs: 60_000 });
  await running(agent.rpc, session.id);
}, 1_200_000);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await using agent = await rpcTo(door);
  await agent.rpc.call("delete", { id: session.id }, { timeoutMs: 60_000 });
  await cluster.close();
}, 120_000);

const inside = async (...argv: string[]): Promise<string> => {
  const container = `convocate-session-${session.id}`;
  return (await cluster.lab.exec("agent-1", ["docker", "exec", "-u", "1337", container, ...argv])).stdout;
};

const attachBadly = (): ReturnType<typeof attachThrough> => attachThrough(proxy, { id: session.id, door, size: SIZE });

/** What the network does while somebody types on. Each breaks the connection but the first. */
const TROUBLES: readonly [what: string, trouble: () => Promise<void>][] = [
  ["slow, byte by byte", async () => void (await sleep(500))],
  ["cut in the middle of what is sent", async () => proxy.cutAfterClientBytes(150)],
  [
    "away for a second",
    async () => {
      proxy.cut();
      await sleep(1000);
      proxy.mend();
    },
  ],
  [
    "swallowing everything, until the connection is given up",
    async () => {
      proxy.stall();
      await sleep(1500);
      proxy.mend();
    },
  ],
];

test("typed through cuts, a stall, 200 ms each way and single bytes, every key arrives once and in order, and the screen is the one there is without", async () => {
  // From the start, so that the shell shows what is typed before its echo.
  proxy.delay(DELAY_MS);
  proxy.slice(true);
  const { terminal, ended } = attachBadly();
  await terminal.see(/Claude Code|\? for shortcuts/);
  // A program that keeps each byte it reads, as it comes.
  await inside("tmux", "new-window", "-t", "=claude:", "stty raw echo; exec cat > /tmp/typed");
  await eventually("the program to read", async () => (await inside("sh", "-c", "ls /tmp/typed")) !== "");
  let typed = "";
  for (const [round, [what, trouble]] of TROUBLES.entries()) {
    const before = proxy.accepted;
    const over = new AbortController();
    const done = trouble().finally(() => over.abort());
    for (let number = 0; !over.signal.aborted || number < 40; number += 1) {
      const word = `${round}.${number},`;
      typed += word;
      terminal.type(word);
      await sleep(10);
    }
    await done;
    if (round > 0) await eventually(`a new connection after: ${what}`, () => proxy.accepted > before);
    await eventually(`all that was typed to arrive: ${what}`, async () => (await typedSoFar()).length >= typed.length);
    expect(await typedSoFar()).toBe(typed);
  }
  await using direct = await TestAttach.open(door, { id: session.id, ...SIZE });
  await direct.see(typed.slice(-20));
  await eventually("the same screen", () => terminal.text() === direct.screen(), { timeoutMs: 10_000 });
  expect(terminal.text()).not.toContain("reconnecting");
  await sleep(100);
  terminal.type("\u0002d");
  expect(await ended).toEqual({ kind: "ended", exitStatus: 0 });
}, 180_000);

const typedSoFar = (): Promise<string> => inside("cat", "/tmp/typed");

test("Claude's own screen is the same after the network was away, within 5 s of its return", async () => {
  await inside("tmux", "select-window", "-t", "=claude:0");
  proxy.delay(0);
  proxy.slice(false);
  const { terminal, ended } = attachBadly();
  await terminal.see(/Claude Code|\? for shortcuts/);
  terminal.type("typed before, ");
  await terminal.see("typed before, ");
  proxy.cut();
  await terminal.see("reconnecting to agent-1…");
  terminal.type("in the dark");
  await sleep(2000);
  proxy.mend();
  const mended = performance.now();
  await terminal.see("typed before, in the dark", 10_000);
  expect(performance.now() - mended).toBeLessThan(5000);
  await using direct = await TestAttach.open(door, { id: session.id, ...SIZE });
  await direct.see("typed before, in the dark");
  await eventually("the same screen", () => terminal.text() === direct.screen(), { timeoutMs: 10_000 });
  terminal.type("\u0002d");
  expect(await ended).toEqual({ kind: "ended", exitStatus: 0 });
}, 120_000);
