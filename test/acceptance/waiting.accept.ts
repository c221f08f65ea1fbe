import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import type { AgentEvent, Session } from "../../runtime/domain/index.js";
import type { RpcClient } from "../../runtime/protocol/rpc/client.js";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { doorOf, rpcTo, running, TestAttach, type Door } from "../support/door.js";
import { recorded } from "../support/recorded.js";

let cluster: TestCluster;
let door: Door;
let agent: Awaited<ReturnType<typeof rpcTo>>;
let session: Session;
let attach: TestAttach;

const PROMPT = /^❯\s*$/m;
const ENTER = "\r";
const ESC = "\x1b";
/** Ctrl-U: empties the line. */
const CLEAR = "\u0015";

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  door = await doorOf(cluster, "agent-1");
  agent = await rpcTo(door);
  session = await agent.rpc.call("create", { request_id: randomUUID(), name: "waiter" }, { timeoutMs: 60_000 });
  // Its user is asked for permission, not a model that this test has none of.
  const settings = JSON.stringify({ permissions: { defaultMode: "default" } });
  await cluster.lab.sh(
    "agent-1",
    `cd /home/claude/${session.id} && mkdir -p .claude && echo '${settings}' >.claude/settings.json && chown -R claude:claude .claude`,
  );
  await agent.rpc.call("restart", { id: session.id }, { timeoutMs: 60_000 });
  await running(agent.rpc, session.id);
  attach = await TestAttach.open(door, { id: session.id });
  await attach.see(PROMPT, 60_000);
}, 1_200_000);

afterAll(async () => {
  await attach[Symbol.asyncDispose]();
  await agent.rpc.call("delete", { id: session.id }, { timeoutMs: 60_000 });
  await agent[Symbol.asyncDispose]();
  await cluster.close();
}, 120_000);

async function activity(rpc: RpcClient = agent.rpc): Promise<string> {
  const { status } = await rpc.call("get", { id: session.id });
  if (status.state !== "running") return status.state;
  return `${status.activity?.kind ?? "nothing"} ${status.activity?.why ?? ""}`.trim();
}
/** Polls fast, and answers with how long it took. The deadline is for a busy machine; SPEC's figures are printed. */
async function becomes(wanted: string, timeoutMs = 60_000): Promise<number> {
  const from = Date.now();
  let last = "";
  await eventually(`activity ${wanted}`, async () => (last = await activity()) === wanted, {
    timeoutMs,
    everyMs: 50,
  }).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}; it was ${last}; the screen:\n${attach.screen()}`);
  });
  return Date.now() - from;
}
/** Types a prompt as a person does: text and Enter in one piece would be a paste. */
async function say(text: string): Promise<void> {
  // A prompt that was interrupted before its answer began is back in the input.
  await eventually("an empty prompt", () => PROMPT.test(attach.screen()) || void attach.type(CLEAR), { everyMs: 500 });
  attach.type(text);
  await attach.see(text);
  attach.type(ENTER);
}
/** A dialog takes no key in its first moment, so the key is sent until it is gone. */
async function answer(key: string, dialog: RegExp): Promise<void> {
  await attach.see(dialog);
  await eventually(
    "the dialog to be gone",
    () => {
      if (!dialog.test(attach.screen())) return true;
      attach.type(key);
      return false;
    },
    { everyMs: 500 },
  );
}

test("a session's first start shows no dialog, and its row says nothing of work or waiting", async () => {
  expect(attach.screen()).not.toMatch(/trust|theme|log ?in|Enter to c/i);
  await becomes("nothing");
});

describe("what a session waits for is told apart", () => {
  test("a finished turn", async () => {
    await say("wait: 2");
    await becomes("working");
    await attach.see("You said");
    console.log(`finished: told after ${await becomes("waiting finished")} ms`);
  }, 120_000);

  test("a permission; and it works again while the tool runs that was allowed", async () => {
    await say("run: touch made && sleep 7");
    await attach.see("Do you want to proceed?");
    console.log(`permission: told after ${await becomes("waiting permission")} ms`);
    await answer(ENTER, /Do you want to proceed\?/);
    console.log(`working after a permission: told after ${await becomes("working")} ms`);
    await becomes("waiting finished");
  }, 180_000);

  test("a question", async () => {
    await say("ask: Which way?");
    await becomes("waiting question");
    await answer(ENTER, /Enter to select/);
    await becomes("waiting finished");
  }, 180_000);

  test("an API error", async () => {
    await say("fail: 400");
    await becomes("waiting api-error");
  }, 120_000);

  test("Esc on a dialog, which fires no hook", async () => {
    await say("run: touch never");
    await becomes("waiting permission");
    await answer(ESC, /Do you want to proceed\?/);
    console.log(`Esc on a dialog: told after ${await becomes("waiting silent")} ms`);
  }, 180_000);

  test("Esc in a turn, which fires no hook", async () => {
    await say("wait: 120");
    await becomes("working");
    await attach.see("esc to interrupt");
    await eventually(
      "the turn to be interrupted",
      () => {
        if (!attach.screen().includes("esc to interrupt")) return true;
        attach.type(ESC);
        return false;
      },
      { everyMs: 1_000 },
    );
    console.log(`Esc in a turn: told after ${await becomes("waiting silent")} ms`);
  }, 180_000);
});

test("the events reached the shell in their order, and the session's log has each hook as a line of JSON without escapes", async () => {
  const kinds = await eventually("the events", async () => {
    const events: AgentEvent[] = await recorded(cluster, door.agentId);
    const ours = events
      .filter(({ type, session_id }) => session_id === session.id && /^session\./.test(type))
      .map(({ type, data }) => (type === "session.working" ? "working" : (data.why as string)));
    return ours.at(-1) === "silent" && ours;
  });
  expect(kinds.slice(0, 6)).toEqual(["working", "finished", "working", "permission", "working", "finished"]);
  expect(kinds).toEqual(expect.arrayContaining(["question", "api-error", "silent"]));

  const log = await cluster.lab.sh("agent-1", `docker logs convocate-session-${session.id} 2>/dev/null`);
  const lines = log
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { event: string; tool?: string; text?: string });
  expect(lines[0]).toMatchObject({ event: "SessionStart" });
  expect(lines).toContainEqual(expect.objectContaining({ event: "PreToolUse", tool: "Bash", text: "touch never" }));
  for (const { text = "" } of lines) expect(text.length).toBeLessThanOrEqual(200);
  expect(log.replaceAll("\n", "")).not.toMatch(/[\x00-\x1f\x7f-\x9f]/);
}, 60_000);

test("an agent that was down learns what it missed", async () => {
  await say("wait: 8");
  await becomes("working");
  await cluster.lab.sh("agent-1", "systemctl stop convocate-agent");
  await cluster.lab.sh(
    "agent-1",
    `timeout 60 bash -c 'until docker logs convocate-session-${session.id} 2>/dev/null | tail -1 | grep -q Stop; do sleep 0.5; done'`,
  );
  await cluster.lab.sh("agent-1", "systemctl start convocate-agent");
  await eventually(
    "the new agent to know",
    async () => {
      try {
        await using fresh = await rpcTo(door);
        return (await activity(fresh.rpc)) === "waiting finished";
      } catch {
        return false;
      }
    },
    { timeoutMs: 60_000 },
  );
  // The door was closed with the agent.
  agent = await rpcTo(door);
  attach = await TestAttach.open(door, { id: session.id });
}, 180_000);

test("one session's socket is out of every other one's reach, and of the host's users'", async () => {
  const other = await agent.rpc.call(
    "create",
    { request_id: randomUUID(), name: "neighbour", start: true },
    { timeoutMs: 60_000 },
  );
  try {
    const inside = (script: string) =>
      cluster.lab.exec("agent-1", [
        "docker",
        "exec",
        "-u",
        "1337",
        `convocate-session-${other.id}`,
        "sh",
        "-c",
        script,
      ]);
    expect((await inside("ls /run/convocate")).stdout.trim()).toBe("hooks.sock");
    expect((await inside("touch /run/convocate/x")).stderr).toContain("Read-only file system");
    const mounts = (await inside("cat /proc/self/mounts")).stdout;
    expect(mounts).not.toContain(session.id);
    const outside = await cluster.lab.exec("agent-1", ["ls", "/run/convocate-agent/sessions"], { user: "claude" });
    expect(outside.stderr).toContain("Permission denied");
  } finally {
    await agent.rpc.call("delete", { id: other.id }, { timeoutMs: 60_000 });
  }
  expect(await cluster.lab.sh("agent-1", "ls /run/convocate-agent/sessions")).not.toContain(other.id);
}, 120_000);
