import { describe, expect, test } from "@jest/globals";
import { ConvocateError } from "../../../domain/index.js";
import type { AgentView } from "../../cluster.js";
import {
  AGENTS,
  at,
  cluster,
  ENTER,
  ESC,
  keys,
  listed,
  play,
  requestOf,
  SESSIONS,
  TAB,
} from "../../../../test/support/tui-model.js";
import { agentId, agentView, capacity, NOW_MS, sessionId, sessionView } from "../../../../test/tui/fixtures.js";
import { drawState } from "../draw/frame.js";
import type { Action } from "./state.js";

/** A text in each field, from the focused one on. */
const fields = (...texts: string[]): Action[] => texts.flatMap((text) => keys(text, TAB)).slice(0, -1);

describe("New", () => {
  test("starts on the reachable agent with the fewest running sessions", () => {
    const agents = [agentView(1), agentView(2, { connection: { state: "connecting", since: 0 } }), agentView(3)];
    const { state } = play(listed(cluster(SESSIONS, agents)), ...keys("n"));
    expect(state.dialog).toMatchObject({ kind: "form", form: { values: { agent: agents[2]?.id } } });
  });

  test("shows the labels of the agent that is chosen, within the dialog at 80 columns", () => {
    const label = { gpu: "yes", room: "cellar", rack: "a-rather-long-name-of-a-rack-in-the-cellar-of-the-house" };
    const agents = [agentView(1, { labels: label }), agentView(2)];
    const small: Action = { type: "resize", size: { cols: 80, rows: 24 } };
    const state = play(listed(cluster([], agents)), small, ...keys("n", TAB)).state;
    const lines = (of: typeof state): string[] => drawState(of, false).split("\n");
    expect(lines(state).join("\n")).toContain("labels gpu=yes,rack=a-rather-long-name-of-a-rack");
    const other = play(state, ...keys({ name: "right" })).state;
    expect(lines(other).join("\n")).not.toContain("labels");
    // Nothing moves while one chooses.
    expect(lines(other).findIndex((line) => line.includes("DNS name"))).toBe(
      lines(state).findIndex((line) => line.includes("DNS name")),
    );
    const plain = play(listed(cluster([], [agentView(1), agentView(2)])), ...keys("n", TAB)).state;
    expect(drawState(plain, false)).not.toContain("labels");
  });

  test("creates what was typed", () => {
    const { effects, state } = play(
      listed(cluster([])),
      ...keys("N"),
      ...fields("web-1", "", "5353/udp", "web.lab", "1.5", "2g", " ", "", " "),
      ...keys(ENTER),
    );
    expect(effects).toMatchObject([
      {
        type: "request",
        request: {
          form: "create",
          spec: {
            name: "web-1",
            port: 5353,
            protocol: "udp",
            dns_name: "web.lab",
            limits: { cpus: 1.5, memory_bytes: 2 * 1024 ** 3 },
            public: true,
            docker: false,
            start: false,
          },
        },
      },
    ]);
    expect(state.dialog).toBeNull();
    expect([...state.tasks.values()]).toMatchObject([{ text: "creating web-1 on agent-1" }]);
  });

  test.each([
    ["", "name"],
    ["two words", "name"],
    ["x".repeat(65), "name"],
  ])("does not send the name %j", (name, focus) => {
    const { state, effects } = play(listed(), ...keys("n", name, ENTER));
    expect(effects).toEqual([]);
    expect(state.dialog).toMatchObject({ kind: "form", form: { focus } });
  });

  test.each(["70000", "-2", "abc", "80/sctp"])("does not send the port %s", (port) => {
    const { state, effects } = play(listed(), ...keys("n", "ok", TAB, TAB, port, ENTER));
    expect(effects).toEqual([]);
    expect(state.dialog).toMatchObject({ form: { focus: "port" } });
  });

  test.each([
    ["", 0],
    ["auto", -1],
    ["-1", -1],
    ["8080", 8080],
  ])("takes %j as port %d", (port, number) => {
    expect(play(listed(), ...keys("n", "ok", TAB, TAB, port, ENTER)).effects).toMatchObject([
      { request: { spec: { port: number } } },
    ]);
  });

  test("the agent can be chosen when there is a choice, and is no field when there is none", () => {
    const chosen = play(listed(cluster([])), ...keys("n", "ok", TAB, { name: "right" }, ENTER)).effects;
    expect(chosen).toMatchObject([{ request: { form: "create", agent: AGENTS[1]?.id } }]);
    const single = play(listed(cluster([], [agentView(1)])), ...keys("n", "ok", TAB, "8080", ENTER)).effects;
    expect(single).toMatchObject([{ request: { spec: { port: 8080 } } }]);
  });

  test("an agent that stops answering while the form is open is not sent to", () => {
    const typing = play(listed(cluster([], [agentView(1)])), ...keys("n", "ok")).state;
    const gone = { ...agentView(1), connection: { state: "connecting", since: 0 } } as AgentView;
    const { effects } = play(typing, cluster([], [gone]), ...keys(ENTER));
    expect(effects).toEqual([]);
  });

  test("a refused create shows the error, and leads back to the form as it was typed", () => {
    const sent = play(listed(), ...keys("n", "big", ENTER));
    const { task, request, back, title } = requestOf(sent.effects);
    const error = new ConvocateError("ADMISSION_DENIED", "admission denied");
    const refused = play(sent.state, { type: "task-failed", task, request, back, title, error }).state;
    expect(refused.tasks.size).toBe(0);
    expect(refused.dialog).toMatchObject({ kind: "error", title: "Could not create big" });
    expect(play(refused, ...keys(ENTER)).state.dialog).toMatchObject({
      kind: "form",
      form: { values: { name: "big" } },
    });
    expect(play(refused, ...keys(ESC)).state.dialog).toBeNull();
  });

  test("with no agents it says how to add one", () => {
    const { state } = play(listed(cluster([], [])), ...keys("n"));
    expect(state.dialog).toMatchObject({ kind: "error", text: expect.stringContaining("convocate-host init-agent") });
  });
});

describe("dialogs of a session", () => {
  test("E sends only what was changed", () => {
    const opened = play(listed(), ...keys("E"));
    expect(opened.state.dialog).toMatchObject({ kind: "form", form: { values: { name: "alpha", port: "8080" } } });
    const { effects, state } = play(
      opened.state,
      ...keys(TAB, { name: "ctrl-u" }, "9090/udp", TAB, TAB, TAB, TAB, "512m", ENTER),
    );
    expect(effects).toMatchObject([
      {
        request: {
          form: "edit",
          id: sessionId(1),
          change: { port: 9090, protocol: "udp", limits: { memory_bytes: 512 * 1024 ** 2 } },
        },
      },
    ]);
    expect(Object.keys((effects[0] as { request: { change: object } }).request.change)).toEqual([
      "port",
      "protocol",
      "limits",
    ]);
    expect(state.busy.get(sessionId(1))).toBe("edit");
    expect(play(opened.state, ...keys(ENTER)).effects).toEqual([]);
  });

  test("an edit that is done says when it takes effect, and the row says so too", () => {
    const sent = play(listed(), ...keys("E", "x", ENTER));
    const { task, request } = requestOf(sent.effects);
    const session = { ...SESSIONS[0].session, name: "alphax", restart_to_apply: true };
    const { state } = play(
      sent.state,
      { type: "task-done", task, request, session },
      cluster([{ ...SESSIONS[0], session }]),
    );
    expect(state.notice?.text).toBe("changed alphax, R restarts it to apply");
    expect(state.busy.size).toBe(0);
    expect(drawState(state, false)).toContain("restart to apply");
  });

  test("C clones under another name", () => {
    const { effects } = play(listed(), ...keys("c", "2", ENTER));
    expect(effects).toMatchObject([{ request: { form: "clone", id: sessionId(1), name: "alpha-copy2" } }]);
    expect(JSON.stringify(effects)).not.toContain('"to"');
    const away = play(listed(), ...keys("c", TAB, { name: "right" }, ENTER)).effects;
    expect(away).toMatchObject([{ request: { form: "clone", name: "alpha-copy", to: agentId(2) } }]);
  });

  test("M offers the other agents with their room, and moves to the one chosen", () => {
    const state = listed({ type: "capacity", agent: agentId(2), capacity: capacity({ cpus: 2 }) });
    const opened = play(state, ...keys("m")).state;
    expect(drawState(opened, false)).toContain("agent-2  5.2 cores, 25 GiB, disk 430 GiB free");
    expect(play(opened, ...keys(ENTER)).effects).toMatchObject([
      { request: { form: "move", id: sessionId(1), to: agentId(2) } },
    ]);
    const alone = play(state, cluster(SESSIONS.slice(0, 2), [agentView(1)]), ...keys("m")).state;
    expect(alone.dialog).toMatchObject({ kind: "error", title: "Nowhere to move to" });
  });

  test("O clears a stale lock on Enter, a live one only by an explicit yes, and nothing else", () => {
    expect(play(listed(), ...keys("o")).state.notice?.text).toBe("alpha is not locked");
    expect(play(listed(), ...keys("jjjjO", ENTER)).effects).toMatchObject([{ operation: "override", force: false }]);
    expect(play(listed(), ...keys("jjjO", ENTER)).effects).toEqual([]);
    expect(play(listed(), ...keys("jjjO", "y")).effects).toMatchObject([{ operation: "override", force: true }]);
    expect(drawState(listed(), false)).toMatch(/L {2}stale .*stale lock: O/);
  });

  test("what waits says so in the status line until it is done, with how far it is", () => {
    const sent = play(listed(), ...keys("m", ENTER));
    const { task, request } = requestOf(sent.effects);
    const { state } = play(sent.state, { type: "task-progress", task, progress: "1.5 GiB" }, at(NOW_MS + 61_000));
    expect(drawState(state, false)).toContain("moving alpha on agent-1 to agent-2… 1.5 GiB 1m");
    const done = play(state, { type: "task-done", task, request, session: SESSIONS[0].session }).state;
    expect(done.tasks.size).toBe(0);
    expect(done.notice?.text).toBe("moved alpha");
    const noted = play(state, { type: "task-done", task, request, note: "it did not start" }).state;
    expect(noted.dialog).toMatchObject({ kind: "error", title: "Done, but", text: "it did not start" });
  });

  test("an orphan says how to migrate it, and can be deleted", () => {
    const orphan = sessionView(9, "old", { status: { state: "orphan", path: "/home/claude/x" } }, { agentName: "-" });
    const state = play(listed(), cluster([orphan])).state;
    expect(drawState(state, false)).toMatch(/› O {2}old/);
    for (const key of ["E", "C", "M", "R", "K", "B", "L", "P"])
      expect(play(state, ...keys(key)).state.dialog).toMatchObject({
        kind: "error",
        text: expect.stringContaining(`migrate-session --agent AGENT --session ${sessionId(9)}`),
      });
    expect(play(state, ...keys("Dy")).effects).toMatchObject([{ operation: "delete" }]);
  });
});
