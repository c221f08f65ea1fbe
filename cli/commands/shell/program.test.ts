import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { clientOfTwo, type Ran, type TestClient } from "../../../test/support/client.js";
import type { FakeAgent } from "../../../test/support/fake-agent.js";
import { eventually } from "../../../test/support/eventually.js";
import { serveFeed } from "../../../test/support/fake-feed.js";
import { AgentId, type AgentStatus } from "../../../runtime/domain/index.js";
import { refuseOthers } from "../session/client.js";

jest.setTimeout(60_000);

const A = AgentId.parse("agentaaa");
const B = AgentId.parse("agentbbb");

let cleanup: AsyncDisposableStack;
let client: TestClient;
let one: FakeAgent;
let two: FakeAgent;
const convocate = (...argv: string[]): Promise<Ran> => client.run(...argv);

beforeEach(async () => {
  cleanup = new AsyncDisposableStack();
  ({ client, one, two } = await clientOfTwo(cleanup));
});
afterEach(() => cleanup.disposeAsync());

describe("ls", () => {
  test("lists the sessions of all agents in a table", async () => {
    one.addSession("beta", { port: 1001 });
    two.addSession("alpha", { status: { state: "stopped", exit_code: 1, oom_killed: false } });
    const { out, notes, error } = await convocate("ls");
    expect(error).toBeNull();
    expect(notes).toEqual([]);
    expect(out.map((line) => line.split(/\s{2,}/).slice(0, 6))).toEqual([
      ["", "NAME", "AGENT", "PORT", "DNS", "DETAIL"],
      ["-", "alpha", "agent-2", "-", "-", "exited 1"],
      ["R", "beta", "agent-1", "1001/tcp", "-", expect.any(String)],
    ]);
  });

  test("names the agents that do not answer, and fails only when none does", async () => {
    one.addSession("beta");
    await two.stop();
    const some = await convocate("ls", "--json");
    expect(some.error).toBeNull();
    expect(some.notes).toEqual([
      expect.stringMatching(/^agent agent-2 \(127\.0\.0\.1:\d+\) does not answer: .*refused/),
    ]);
    expect(JSON.parse(some.out[0]!)).toMatchObject({
      sessions: [{ name: "beta", agent: "agent-1", reachable: true }],
      unreachable: [{ agent: "agent-2", agent_id: B }],
    });
    await one.stop();
    expect((await convocate("ls")).error).toMatchObject({ code: "UNREACHABLE", exitCode: 3 });
  });
});

describe("new", () => {
  test("starts it on the agent with the fewest running sessions", async () => {
    one.addSession("busy");
    two.addSession("idle", { status: { state: "stopped", exit_code: null, oom_killed: false } });
    const { out, error } = await convocate("new", "fresh", "--port", "-1", "--dns", "Fresh.Example");
    expect(error).toBeNull();
    expect(out[0]).toMatch(/^started fresh on agent-2, port 1001\/tcp, id [0-9a-f-]{36}$/);
    expect([...two.sessions.values()].find((session) => session.name === "fresh")?.status.state).toBe("running");
  });

  test("goes where it is told, and --no-start only creates", async () => {
    const { out } = await convocate("new", "quiet", "--agent", A, "--no-start", "--json");
    expect(JSON.parse(out[0]!)).toMatchObject({ name: "quiet", agent: "agent-1", status: { state: "stopped" } });
  });

  test.each([
    [["new", "bad name"], "commander.invalidArgument"],
    [["new", "x", "--port", "70000"], "commander.invalidArgument"],
    [["new", "x", "--dns", "-bad-"], "commander.invalidArgument"],
    [["new", "x", "--agent", "nobody"], "AGENT_NOT_FOUND"],
    [["new", "x", "--attach", "--no-start"], "BAD_USAGE"],
    [["nonsense"], "commander.unknownCommand"],
    [["install"], "REFUSED"],
    [["ls", "--nonsense"], "commander.unknownOption"],
  ])("%j is refused", async (argv, code) => {
    expect((await convocate(...argv)).error).toMatchObject({ code });
    expect(one.sessions.size + two.sessions.size).toBe(0);
  });

  test("--attach hands the terminal over", async () => {
    const running = convocate("new", "fresh", "--attach");
    await eventually("attached", () => one.attached + two.attached === 1);
    client.terminal.write(one.detachKey);
    expect((await running).error).toBeNull();
  });
});

describe("one session", () => {
  test("is found by exact name before any prefix of an id, and by a unique prefix", async () => {
    const session = one.addSession("alpha");
    await convocate("kill", session.id.slice(0, 8));
    expect(one.sessions.get(session.id)?.status.state).toBe("stopped");
    expect((await convocate("kill", "alpha")).out).toEqual(["stopped already: alpha"]);
    await convocate("restart", "alpha");
    expect(one.sessions.get(session.id)?.status.state).toBe("running");
    expect((await convocate("restart", "alpha")).error).toMatchObject({ code: "SESSION_RUNNING" });
    expect((await convocate("restart", "alpha", "--force")).error).toBeNull();
    expect((await convocate("background", "alpha")).out).toEqual(["detached 0 from alpha"]);
  });

  test("whose name two agents know is ambiguous, with the candidates named", async () => {
    const first = one.addSession("twin");
    const second = two.addSession("twin");
    const { error } = await convocate("kill", "twin");
    expect(error).toMatchObject({ code: "AMBIGUOUS_NAME", message: expect.stringContaining(first.id) });
    expect(error).toMatchObject({ message: expect.stringContaining(second.id) });
    expect(one.calls).not.toContain("kill");
  });

  test("that is not found says which agents could not be asked", async () => {
    await two.stop();
    expect((await convocate("kill", "nobody")).error).toMatchObject({
      code: "SESSION_NOT_FOUND",
      message: expect.stringContaining("agent-2 did not answer"),
    });
    expect((await convocate("kill", "..")).error).toMatchObject({ code: "SESSION_NOT_FOUND" });
  });

  test("is deleted only when its name is typed, or with --yes", async () => {
    one.addSession("alpha");
    expect((await convocate("delete", "alpha")).error).toMatchObject({ code: "BAD_USAGE" });
    client.answer = "alph";
    expect((await convocate("delete", "alpha")).error).toMatchObject({ code: "REFUSED" });
    expect(one.sessions.size).toBe(1);
    client.answer = "alpha";
    expect((await convocate("delete", "alpha")).error).toBeNull();
    expect(one.sessions.size).toBe(0);
    two.addSession("beta");
    await convocate("delete", "beta", "--yes");
    expect(two.sessions.size).toBe(0);
  });

  test("attach says what the agent refused", async () => {
    one.addSession("alpha");
    one.refuseAttach = { code: "SESSION_NOT_RUNNING", error: "session alpha is stopped" };
    expect((await convocate("attach", "alpha")).error).toMatchObject({ code: "SESSION_NOT_RUNNING", exitCode: 1 });
  });
});

describe("agents", () => {
  const status = (id: AgentId, change: Partial<AgentStatus> = {}): AgentStatus => ({
    agent_id: id,
    name: id,
    connection: "connected",
    since: "2026-11-21T00:00:00.000Z",
    last_heartbeat_at: "2026-11-21T00:00:01.000Z",
    release: "3.0.0",
    image: null,
    sessions: { total: 3, running: 2, attached: 0 },
    ...change,
  });

  test("lists each, and fails when one does not answer", async () => {
    expect((await convocate("agents")).error).toBeNull();
    await two.stop();
    const { out, error } = await convocate("agents", "--json");
    expect(JSON.parse(out[0]!).agents).toMatchObject([
      { name: "agent-1", answers: true, release: "3.0.0" },
      { name: "agent-2", answers: false },
    ]);
    expect(error).toMatchObject({ code: "UNREACHABLE", exitCode: 3 });
    one.calls.length = 0;
    expect((await convocate("agents", "agent-1")).error).toBeNull();
    expect(one.calls).toEqual(["ping", "list"]);
    expect((await convocate("agents", "agent-9")).error).toMatchObject({ code: "AGENT_NOT_FOUND" });
  });

  test("has a column for labels where any agent has some", async () => {
    expect((await convocate("agents")).out[0]).not.toContain("LABELS");
    two.labels = { room: "cellar", gpu: "yes" };
    const { out } = await convocate("agents");
    expect(out.map((line) => line.split(/ {2,}/).at(-1))).toEqual(["LABELS", "-", "gpu=yes,room=cellar"]);
    await two.stop();
    const down = await convocate("agents", "--json");
    expect(JSON.parse(down.out[0]!).agents).toMatchObject([{ labels: {} }, { labels: null }]);
  });

  test("--wait ends as soon as the agent answers and its heartbeat is there", async () => {
    const known: AgentStatus[] = [status(A, { connection: "silent" })];
    const feed = cleanup.use(await serveFeed(client.statusSocket, { agents: () => known }));
    // Its heartbeat counts otherwise: it is from before.
    one.addSession("runs");
    one.addSession("ended", { status: { state: "stopped", exit_code: 0, oom_killed: false } });
    await one.stop();
    const waiting = convocate("agents", "agent-1", "--wait", "30");
    await eventually("reader", () => feed.readers === 1);
    await one.start();
    feed.publish({ kind: "agent", agent: status(A, { last_heartbeat_at: null }) });
    await new Promise((resolve) => setTimeout(resolve, 500));
    feed.publish({ kind: "agent", agent: status(A) });
    const { out, error } = await waiting;
    expect(error).toBeNull();
    expect(out[1]).toMatch(/agent-1 .* up .* 1 of 2/);
  });

  test("--wait says what is missing when its time is up", async () => {
    const { error } = await convocate("agents", "agent-1", "agent-9", "--wait", "1");
    expect(error).toMatchObject({ code: "UNREACHABLE", exitCode: 3 });
    expect(String(error)).toContain("no heartbeat of agent agent-1");
    expect(String(error)).toContain("agent-9 is not registered");
  });
});

test("--print-frame draws the TUI once, as text", async () => {
  one.addSession("alpha");
  const { out, error } = await convocate("--print-frame", "--cols", "100", "--rows", "30");
  expect(error).toBeNull();
  expect(out[0]?.split("\n")).toHaveLength(30);
  expect(out[0]).toContain("alpha");
  expect(out[0]).toContain("agent-2");
});

test("a verb that is not there is told as such, with words behind it too, and with the one that is nearly it", async () => {
  for (const argv of [
    ["setings"],
    ["setings", "agent-1", "pids=9"],
    ["setings", "--json"],
    ["setings", "agent-1", "-f"],
  ])
    expect((await convocate(...argv)).error).toMatchObject({
      code: "commander.unknownCommand",
      message: expect.stringMatching(/unknown command 'setings'\s+\(Did you mean settings\?\)/),
    });
});

test("an option that is not there is told as such", async () => {
  expect((await convocate("--jsn")).error).toMatchObject({ code: "commander.unknownOption" });
});

test("only the service user may use the client verbs", () => {
  const user = { name: "claude", uid: 1337 };
  expect(() => refuseOthers(1337, user, ["ls"])).not.toThrow();
  expect(() => refuseOthers(0, user, ["new", "x; rm -rf"])).toThrow(
    expect.objectContaining({
      code: "WRONG_UID",
      message: "convocate runs as claude here: use `sudo -u claude convocate new …`",
    }),
  );
  expect(() => refuseOthers(1337, null, [])).toThrow(expect.objectContaining({ code: "WRONG_UID" }));
});

test.each(["999999999d", "40000d", "yesterday"])("events --since %s is bad usage", async (when) => {
  expect((await convocate("events", "--since", when)).error).toMatchObject({ code: "commander.invalidArgument" });
});
