import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { rpcTo, running, type Door } from "../support/door.js";
import { recorded } from "../support/recorded.js";
import { RunningSession } from "../support/running-session.js";
import { TmuxTerminal } from "../support/tmux.js";

let session: RunningSession;
let cluster: TestCluster;
let door: Door;

beforeAll(async () => {
  session = await RunningSession.open("survivor");
  ({ cluster, door } = session);
}, 1_200_000);
afterAll(async () => {
  await session[Symbol.asyncDispose]();
}, 120_000);

const pidOfSession = (): Promise<string> =>
  session.on(`docker inspect -f '{{.State.Pid}} {{.State.Running}}' ${session.container}`);

test("an agent killed with SIGKILL: sessions go on, RPC is back within 5 s, the attach comes back by itself", async () => {
  const before = await pidOfSession();
  await using terminal = await TmuxTerminal.open([
    ...cluster.shellTty(),
    "/usr/local/bin/convocate",
    "attach",
    "survivor",
  ]);
  await terminal.see(/Claude Code|\? for shortcuts/);
  const killed = Date.now();
  await cluster.lab.sh("agent-1", "kill -9 $(systemctl show -p MainPID --value convocate-agent)");
  await eventually(
    "RPC to be back",
    async () => {
      try {
        await using agent = await rpcTo(door);
        return (await agent.rpc.call("get", { id: session.id })).status.state === "running";
      } catch {
        return false;
      }
    },
    { timeoutMs: 60_000, everyMs: 100 },
  );
  const back = Date.now() - killed;
  expect(await pidOfSession()).toBe(before);
  await eventually("the attach to be served again", async () => {
    await using agent = await rpcTo(door);
    const { status } = await agent.rpc.call("get", { id: session.id });
    return status.state === "running" && status.attached === 1;
  });
  await terminal.type("typed after the crash");
  await terminal.see("typed after the crash");
  console.log(`RPC was back ${back} ms after SIGKILL`);
  expect(back).toBeLessThan(5_000);
}, 180_000);

test("a shell that is down for a minute while 300 events happen has each of them once, in order", async () => {
  await using agent = await rpcTo(door);
  await cluster.lab.sh("shell", "systemctl stop convocate-status");
  const stopped = Date.now();
  const names: string[] = [];
  for (let i = 0; i < 150; i++) {
    const { id } = await agent.rpc.call(
      "create",
      { request_id: randomUUID(), name: `burst-${i}` },
      { timeoutMs: 30_000 },
    );
    await agent.rpc.call("delete", { id }, { timeoutMs: 30_000 });
    names.push(id);
  }
  await sleep(Math.max(0, 60_000 - (Date.now() - stopped)));
  await cluster.lab.sh("shell", "systemctl start convocate-status");
  const rows = await eventually(
    "300 events at the shell",
    async () => {
      const ours = (await recorded(cluster, door.agentId)).filter(({ session_id }) => names.includes(session_id ?? ""));
      return ours.length >= 300 && ours;
    },
    { timeoutMs: 90_000, everyMs: 1_000 },
  );
  expect(rows).toHaveLength(300);
  const seqs = rows.map(({ seq }) => seq);
  expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
  expect(rows.map(({ type, session_id }) => `${type} ${session_id ?? ""}`)).toEqual(
    names.flatMap((id) => [`container.created ${id}`, `container.deleted ${id}`]),
  );
}, 300_000);

test("a container killed outside convocate is seen as stopped within seconds", async () => {
  await using agent = await rpcTo(door);
  await cluster.lab.sh("agent-1", `docker kill convocate-session-${session.id}`);
  await eventually(
    "the session to be seen as stopped",
    async () => (await agent.rpc.call("get", { id: session.id })).status.state === "stopped",
    { timeoutMs: 10_000 },
  );
  await agent.rpc.call("restart", { id: session.id }, { timeoutMs: 60_000 });
  await running(agent.rpc, session.id);
}, 120_000);
