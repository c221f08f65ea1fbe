import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import type { Session } from "../../runtime/domain/index.js";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { doorOf, rpcTo, running, TestAttach, type Door } from "../support/door.js";

const AGENT = "agent-2";
const PROMPT = /^❯\s*$/m;

let cluster: TestCluster;
let door: Door;
const made: Session[] = [];

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  door = await doorOf(cluster, AGENT);
}, 1_200_000);

afterAll(async () => {
  await using agent = await reached();
  for (const { id } of made) await agent.rpc.call("delete", { id }, { timeoutMs: 60_000 });
  await cluster.close();
}, 180_000);

/** The agent, once it answers. */
async function reached(): ReturnType<typeof rpcTo> {
  return await eventually("the agent to answer", async () => rpcTo(door).catch(() => undefined), {
    timeoutMs: 120_000,
    everyMs: 500,
  });
}
async function make(name: string): Promise<Session> {
  await using agent = await rpcTo(door);
  const params = { request_id: randomUUID(), name, start: true };
  const session = await agent.rpc.call("create", params, { timeoutMs: 60_000 });
  made.push(session);
  return await running(agent.rpc, session.id);
}
const stateOf = async ({ id }: Session): Promise<string> => {
  await using agent = await reached();
  return (await agent.rpc.call("get", { id })).status.state;
};
const say = async (attach: TestAttach, text: string): Promise<void> => {
  await attach.see(PROMPT, 60_000);
  attach.type(text);
  await attach.see(text);
  attach.type("\r");
};
/** How often a prompt arrived at the Messages API. */
const arrived = (text: string): number =>
  cluster.api.turns.filter((turn) => turn.kind === "prompt" && turn.text.includes(text)).length;
/** Whether the agent would start it after a boot, from the agent's own file. */
const toRun = async ({ id }: Session): Promise<boolean> => {
  const text = await cluster.lab.sh(AGENT, `cat /var/lib/convocate-agent/sessions/${id}.json`);
  return typeof (JSON.parse(text) as { runs_in_boot?: unknown }).runs_in_boot === "string";
};

test("what ran when the host went down runs again and goes on with its conversation, no prompt is sent twice, and what was killed or had ended stays down", async () => {
  const talked = await make("boot-talked");
  const [busy, killed, ended] = [await make("boot-busy"), await make("boot-killed"), await make("boot-ended")];
  {
    await using attach = await TestAttach.open(door, { id: talked.id });
    await say(attach, "before the reboot");
    await attach.see("You said: before the reboot");
    await using other = await TestAttach.open(door, { id: busy.id });
    await say(other, "wait: 500");
    await eventually("the prompt to arrive", () => arrived("wait: 500") === 1);
    await using agent = await rpcTo(door);
    await agent.rpc.call("kill", { id: killed.id }, { timeoutMs: 60_000 });
    await cluster.lab.sh(AGENT, `docker exec -u 1337 convocate-session-${ended.id} tmux kill-server`);
    await eventually("the one that ended by itself to be known as such", async () => !(await toRun(ended)));
  }

  for (const power of ["cycled", "cut"] as const) {
    await cluster.lab.restart(AGENT, { power });
    for (const session of [talked, busy]) {
      await eventually(
        `${session.name} to run after a reboot (${power})`,
        async () => (await stateOf(session)) === "running",
        {
          timeoutMs: 120_000,
          everyMs: 500,
        },
      );
    }
    await using attach = await TestAttach.open(door, { id: talked.id });
    await attach.see("You said: before the reboot", 60_000);
    await say(attach, `after it, ${power}`);
    await attach.see(`You said: after it, ${power}`);
    await using other = await TestAttach.open(door, { id: busy.id });
    await other.see(PROMPT, 60_000);
  }

  expect(await stateOf(killed)).toBe("stopped");
  expect(await stateOf(ended)).toBe("stopped");
  expect(arrived("before the reboot")).toBe(1);
  expect(arrived("wait: 500")).toBe(1);
}, 600_000);
