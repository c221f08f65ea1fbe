import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clientOfTwo, type TestClient } from "../../../test/support/client.js";
import type { FakeAgent } from "../../../test/support/fake-agent.js";
import { eventually } from "../../../test/support/eventually.js";
import { serveFeed } from "../../../test/support/fake-feed.js";
import { AgentId, ConvocateError, newSessionId, type Capacity } from "../../../runtime/domain/index.js";

jest.setTimeout(60_000);

const A = AgentId.parse("agentaaa");
const GIB = 1024 ** 3;
let cleanup: AsyncDisposableStack;
let client: TestClient;
let one: FakeAgent;
let two: FakeAgent;

beforeEach(async () => {
  cleanup = new AsyncDisposableStack();
  ({ client, one, two } = await clientOfTwo(cleanup));
});
afterEach(() => cleanup.disposeAsync());

function capacity(pledgedCpus: number, pledgedMemory = 0): Capacity {
  const total = { cpus: 4, memory_bytes: 16 * GIB, disk_bytes: 100 * GIB };
  return {
    total,
    allowed: total,
    pledged: { cpus: pledgedCpus, memory_bytes: pledgedMemory, disk_bytes: 0, sessions: 1 },
    used: { cpus: 0.25, memory_bytes: GIB, disk_bytes: null },
    cordoned: false,
    warnings: [],
  };
}

describe("new", () => {
  test("goes to the agent with the most room for such a session, by what is scarcest there", async () => {
    one.capacity = capacity(0, 15 * GIB);
    two.capacity = capacity(3, 0);
    expect(await client.json("new", "a")).toMatchObject({ agent: "agent-2" });
    expect(await client.json("new", "b", "--cpus", "2", "--memory", "256M")).toMatchObject({
      agent: "agent-1",
      limits: { cpus: 2, memory_bytes: 256 * 1024 ** 2 },
    });
  });

  test("--label chooses among the agents that have all of them, and says which labels there are when none fits", async () => {
    one.labels = { room: "cellar", gpu: "yes" };
    two.labels = { room: "attic" };
    one.capacity = capacity(3);
    two.capacity = capacity(0);
    expect(await client.json("new", "a")).toMatchObject({ agent: "agent-2" });
    expect(await client.json("new", "b", "--label", "gpu=yes", "--label", "room=cellar")).toMatchObject({
      agent: "agent-1",
    });
    const none = "no agent has gpu=yes,room=attic: there are agent-1 (gpu=yes,room=cellar), agent-2 (room=attic)";
    expect((await client.run("new", "c", "--label", "room=attic", "--label", "gpu=yes")).error).toMatchObject({
      code: "AGENT_NOT_FOUND",
      message: none,
    });
    one.capacity = { ...capacity(0), cordoned: true };
    expect((await client.run("new", "d", "--label", "gpu=yes")).error).toMatchObject({
      code: "REFUSED",
      message: expect.stringMatching(/^every agent with gpu=yes that answers is cordoned \(agent-1\)/),
    });
    await two.stop();
    expect((await client.run("new", "e", "--label", "room=attic")).error).toMatchObject({
      code: "AGENT_NOT_FOUND",
      message: expect.stringMatching(/agent-1 \(gpu=yes,room=cellar\) \(agent-2 did not answer\)$/),
    });
  });

  test("an agent of an earlier release, which tells no labels, has none", async () => {
    one.labels = undefined;
    two.labels = { gpu: "yes" };
    expect(await client.json("new", "a", "--label", "gpu=yes")).toMatchObject({ agent: "agent-2" });
    expect(await client.json("agents")).toMatchObject({ agents: [{ labels: {} }, { labels: { gpu: "yes" } }] });
  });

  test.each([
    ["cellar", "as KEY=VALUE, for instance room=cellar"],
    ["Room=cellar", "must be a label's key"],
    ["room=", "must be a label's value"],
    ["room=a b", "must be a label's value"],
  ])("--label %s is answered with what is allowed", async (value, allowed) => {
    const message = expect.stringContaining(allowed);
    expect((await client.run("new", "x", "--label", value)).error).toMatchObject({ message });
  });

  test("a label that contradicts another, or an agent that is named, is refused", async () => {
    expect((await client.run("new", "x", "--label", "a=b", "--label", "a=c")).error).toMatchObject({
      message: expect.stringContaining("no agent can have a=b, too"),
    });
    expect((await client.run("new", "x", "--label", "a=b", "--agent", "agent-1")).error).toMatchObject({
      code: "BAD_USAGE",
    });
  });

  test("passes a cordoned agent by, and says so when there is no other", async () => {
    one.capacity = { ...capacity(0), cordoned: true };
    two.capacity = capacity(3);
    expect(await client.json("new", "a")).toMatchObject({ agent: "agent-2" });
    two.capacity = { ...capacity(3), cordoned: true };
    expect((await client.run("new", "b")).error).toMatchObject({
      code: "REFUSED",
      message: expect.stringMatching(/cordoned \(agent-1, agent-2\): `convocate settings agent-1 cordoned=no`/),
    });
  });

  test("waits for an agent that is too busy to list in time, when there is no other", async () => {
    await two.stop();
    one.capacity = capacity(0);
    one.before = async (op) => {
      if (op === "list") await new Promise((resolve) => setTimeout(resolve, 3_000));
    };
    expect(await client.json("new", "a")).toMatchObject({ agent: "agent-1" });
  });

  test("counts running sessions where an agent is too old to tell", async () => {
    one.capacity = capacity(0);
    one.addSession("busy");
    expect(await client.json("new", "a")).toMatchObject({ agent: "agent-2" });
  });

  test("--wait ends when the session is not starting any more, fails when it ends instead, and says on Ctrl-C that it goes on", async () => {
    const waiting = client.run("new", "slow", "--agent", "agent-1", "--wait", "20");
    const made = await eventually("made", () => [...one.sessions.values()].find(({ name }) => name === "slow"));
    const started = { state: "running", attached: 0, started_at: "2026-11-21T00:00:00.000Z" } as const;
    one.sessions.set(made.id, { ...made, status: { ...started, starting: true } });
    // The create was answered before: only a list that says `starting` makes it wait, and either end is right.
    await new Promise((resolve) => setTimeout(resolve, 400));
    one.sessions.set(made.id, { ...made, status: started });
    expect((await waiting).error).toBeNull();

    const slow = one.addSession("slower", { status: { ...started, starting: true } });
    const failing = client.run("start", "slower", "--wait", "20");
    await new Promise((resolve) => setTimeout(resolve, 600));
    one.sessions.set(slow.id, { ...slow, status: { state: "stopped", exit_code: 1, oom_killed: false } });
    expect((await failing).error).toMatchObject({ code: "SESSION_NOT_RUNNING" });

    one.addSession("slowest", { status: { ...started, starting: true } });
    const left = client.run("start", "slowest", "--wait", "20");
    await new Promise((resolve) => setTimeout(resolve, 600));
    client.controller.abort(new ConvocateError("INTERRUPTED", "interrupted"));
    expect(await left).toMatchObject({
      error: { code: "INTERRUPTED" },
      notes: ["slowest on agent-1 is not waited for, and goes on"],
    });
  });

  test.each([
    ["--cpus", "0"],
    ["--memory", "1M"],
    ["--memory", "lots"],
    ["--pids", "1.5"],
    ["--disk", "-1"],
    ["--wait", "soon"],
  ])("%s %s is bad usage", async (flag, value) => {
    expect((await client.run("new", "x", flag, value)).error).toMatchObject({ code: "commander.invalidArgument" });
  });

  test.each([
    ["--cpus", "abc", "cores are 0.01 to 1024"],
    ["--cpus", "0.001", "cores are 0.01 to 1024"],
    ["--memory", "1k", "memory is 64M or more"],
    ["--pids", "3", "processes are a whole number, 16 to 4194304"],
    ["--disk", "1K", "disk is 1M or more"],
    ["--port", "22", "the agent's host needs 22, 53, 222, 223, 514 itself"],
    ["--port", "x", "a port is -1, 0 or up to 65535"],
    ["--port", "70000", "a port is -1, 0 or up to 65535"],
  ])("%s %s is answered with what is allowed", async (flag, value, allowed) => {
    const message = expect.stringContaining(allowed);
    expect((await client.run("new", "x", flag, value)).error).toMatchObject({ message });
  });
});

describe("names", () => {
  test("resolve by unique prefix, an ambiguous one lists the candidates", async () => {
    const alpha = one.addSession("alpha");
    two.addSession("alpine");
    expect(await client.json("show", "alpha")).toMatchObject({ id: alpha.id, agent: "agent-1", reachable: true });
    expect(await client.json("show", "alph")).toMatchObject({ id: alpha.id });
    const { error } = await client.run("show", "alp");
    expect(error).toMatchObject({ code: "AMBIGUOUS_NAME", exitCode: 2 });
    expect(String(error)).toMatch(/alpha on agent-1.*alpine on agent-2/);
  });

  test("for delete must be whole: what cannot be undone is not guessed at", async () => {
    const alpha = one.addSession("alpha");
    expect((await client.run("delete", "alph", "--yes")).error).toMatchObject({ code: "SESSION_NOT_FOUND" });
    expect(await client.json("delete", alpha.id.slice(0, 12), "--yes")).toEqual({ id: alpha.id, deleted: true });
  });
});

test("start starts what is stopped, and one that runs goes on", async () => {
  one.addSession("alpha", { status: { state: "stopped", exit_code: 0, oom_killed: false } });
  expect(await client.json("start", "alpha")).toMatchObject({ status: { state: "running" } });
  expect((await client.run("start", "alpha")).out).toEqual(["runs already: alpha"]);
  expect(one.calls.filter((call) => call === "restart")).toHaveLength(1);
});

test("edit sends what is named and nothing else; a limit of `default` is taken back", async () => {
  const { id } = one.addSession("alpha", { limits: { cpus: 2, pids: 100 }, dns_name: "old", public: true });
  expect((await client.run("edit", "alpha")).error).toMatchObject({ code: "BAD_USAGE" });
  const edited = await client.json(
    "edit",
    "alpha",
    "--cpus",
    "default",
    "--memory",
    "1G",
    "--no-public",
    "--port",
    "1234",
  );
  expect(edited).toMatchObject({ port: 1234, public: false, dns_name: "old", restart_to_apply: true });
  expect(one.sessions.get(id)?.limits).toEqual({ pids: 100, memory_bytes: GIB });
  expect((await client.run("edit", "alpha", "--dns", "none", "--name", "beta")).out).toEqual([
    "restart to apply: edited beta",
  ]);
  expect(one.sessions.get(id)?.dns_name).toBeNull();
  expect((await client.run("ls")).out[1]).toContain("restart to apply");
});

test("clone names what was left out", async () => {
  one.addSession("alpha");
  const { out, notes } = await client.run("clone", "alpha", "copy");
  expect(out[0]).toMatch(/^cloned alpha to copy, id /);
  expect(notes).toEqual(["left out socket run/x.sock", "left out 2 more"]);
  expect(await client.json("clone", "alpha", "again")).toMatchObject({ session: { name: "again" }, skipped_total: 3 });
});

test("override clears a stale lock, a live one with --force only", async () => {
  const locked = { state: "locked", operation: "restart", since: "2026-11-21T00:00:00.000Z" } as const;
  one.addSession("old", { status: { ...locked, stale: true } });
  one.addSession("busy", { status: locked });
  expect(await client.json("override", "old")).toMatchObject({ status: { state: "stopped" } });
  expect((await client.run("override", "busy")).error).toMatchObject({ code: "SESSION_LOCKED", exitCode: 4 });
  expect((await client.run("override", "busy", "--force")).out).toEqual(["cleared the lock of busy"]);
  expect((await client.run("override", "busy")).out).toEqual(["there is no lock on busy"]);
});

test("logs shows each line as people read it, and what was forwarded of a session that is gone or away", async () => {
  const { id } = one.addSession("alpha");
  const hook = '{"event":"PreToolUse","at_ms":1,"tool":"Bash","text":"ls -l"}';
  one.log = [{ timestamp: "2026-11-21T00:00:03.000Z", text: hook }];
  const gone = newSessionId();
  const stamp = (s: number): string => `2026-11-21T00:00:0${s}.000100+00:00`;
  client.forward(one.id, [
    `${stamp(1)} ${id} convocate-entrypoint: a word`,
    `${stamp(2)} ${gone} {"event":"container.deleted","text":"name beta"}`,
    `${stamp(3)} ${gone} the last one`,
  ]);
  expect((await client.run("logs", "alpha")).out).toEqual([
    "2026-11-21T00:00:01.000Z convocate-entrypoint: a word",
    "2026-11-21T00:00:03.000Z PreToolUse Bash ls -l",
  ]);
  expect((await client.run("logs", "alpha", "--since", "2026-11-21T00:00:02Z")).out).toHaveLength(1);
  expect((await client.run("logs", gone)).out).toEqual([
    "2026-11-21T00:00:02.000Z container.deleted name beta",
    "2026-11-21T00:00:03.000Z the last one",
  ]);
  expect((await client.run("logs", newSessionId())).error).toMatchObject({ code: "SESSION_NOT_FOUND" });
  await client.run("logs", "alpha", "-n", "1", "--json");
  expect(JSON.parse(client.out.at(-1) ?? "")).toEqual({
    timestamp: "2026-11-21T00:00:03.000000Z",
    text: hook,
    agent_id: one.id,
    entry: { event: "PreToolUse", tool: "Bash", text: "ls -l" },
  });
});

test("logs prints the last lines, and with -f those that come, each once", async () => {
  one.addSession("alpha");
  const line = (s: number) => ({ timestamp: `2026-11-21T00:00:0${s}.000Z`, text: `line ${s}\u001b[2J` });
  one.log = [line(1), line(2), line(3)];
  expect((await client.run("logs", "alpha", "-n", "2")).out.map((text) => text.slice(25, 31))).toEqual([
    "line 2",
    "line 3",
  ]);
  const following = client.run("logs", "alpha", "-f", "--json");
  await eventually("what was there", () => client.out.length === 3);
  one.log.push(line(4));
  await eventually("what came", () => client.out.length === 4);
  client.controller.abort();
  await following;
  expect(client.out.map((text) => (JSON.parse(text) as { text: string }).text)).toEqual(
    [1, 2, 3, 4].map((s) => line(s).text),
  );
});

test("capacity and settings say what each agent has, and changes are sent by the wire's names", async () => {
  one.capacity = capacity(1.5, 4 * GIB);
  const { out, notes } = await client.run("capacity");
  expect(out[1]?.split(/\s{2,}/)).toEqual([
    "agent-1",
    "1",
    "1.5 of 4",
    "4 GiB of 16 GiB",
    "0 B of 100 GiB",
    "0.3 cpus, 1 GiB",
  ]);
  expect(notes).toEqual([expect.stringContaining("agent-2")]);
  expect(await client.json("capacity", "agent-1")).toMatchObject({ agents: [{ agent: "agent-1", error: null }] });
  expect((await client.run("capacity", "agent-2")).error).toMatchObject({ code: "UNKNOWN_OP" });

  expect(await client.json("settings", "agent-1")).toMatchObject({ effective: { cpu_percent: 90 }, changes: {} });
  await client.run("settings", "agent-1", "memory=4G", "cpu_percent=80");
  expect(one.settings).toEqual({ memory_bytes: 4 * GIB, cpu_percent: 80 });
  expect((await client.run("settings", "agent-1", "memory=default")).error).toBeNull();
  expect(one.settings.memory_bytes).toBeNull();
  for (const [bad, takes] of [
    ["cpus=0", "cpus is more than 0 and at most 1024"],
    ["cpus=lots", "cpus is more than 0 and at most 1024"],
    ["cpus=", "cpus is more than 0"],
    ["memory=1K", "memory is 64M or more"],
    ["disk_percent=101", "disk_percent is a whole number from 1 to 100; or default"],
    ["pids=3", "pids is a whole number from 16"],
  ] as const) {
    const message = expect.stringContaining(takes);
    expect((await client.run("settings", "agent-1", bad)).error).toMatchObject({ message });
  }
  for (const bad of ["memory=1K", "cpu-percent=101", "nonsense=1", "cpus"])
    expect((await client.run("settings", "agent-1", bad)).error).toMatchObject({ code: "commander.invalidArgument" });
});

test("ls --watch prints a line of JSON for each change until it is interrupted", async () => {
  const feed = cleanup.use(await serveFeed(client.statusSocket));
  one.addSession("alpha");
  const watching = client.run("ls", "--watch", "--json");
  const lines = client.out;
  await eventually("first", () => lines.length > 0 && feed.readers === 1);
  const { id } = one.addSession("beta");
  const timestamp = "2026-11-21T00:00:00.000Z";
  const event = { seq: 1, stream: "s", type: "container.created", agent_id: A, session_id: id, timestamp, data: {} };
  feed.publish({ kind: "event", event });
  await eventually("beta", () => JSON.parse(lines.at(-1)!).sessions.length === 2);
  client.controller.abort();
  expect((await watching).error).toBeNull();
});

test("an orphan shows as O, operations name the command that migrates it, delete works", async () => {
  const id = newSessionId();
  mkdirSync(join(client.home, id));
  writeFileSync(join(client.home, id, "session.json"), JSON.stringify({ uuid: id, name: "old" }));
  expect((await client.run("ls")).out[1]).toMatch(/^O {2}old .*not migrated/);
  expect(await client.json("ls")).toMatchObject({ sessions: [{ id, agent: null, agent_id: null }] });
  expect((await client.run("kill", "old")).error).toMatchObject({
    code: "ORPHAN_NEEDS_MIGRATION",
    message: expect.stringContaining("convocate-host migrate-session"),
  });
  expect((await client.run("delete", "old", "--yes")).error).toBeNull();
  expect(await client.json("ls")).toMatchObject({ sessions: [] });
});
