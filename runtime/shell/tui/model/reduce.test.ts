import { describe, expect, test } from "@jest/globals";
import { ConvocateError, type SessionId } from "../../../domain/index.js";
import type { AgentView, SessionView } from "../../cluster.js";
import {
  agentView,
  manySessions,
  NOW_MS,
  running,
  sessionId,
  sessionView,
  stopped,
} from "../../../../test/tui/fixtures.js";
import type { Key } from "./keys.js";
import { layoutOf } from "./layout.js";
import { reduce } from "./reduce.js";
import { initialState, type Action, type Effect, type State } from "./state.js";

const SESSIONS = [
  sessionView(1, "alpha", { status: running(2) }),
  sessionView(2, "beta", { status: stopped() }),
  sessionView(3, "gamma", { status: running() }, { agent: 2, reachable: false }),
];
const AGENTS = [agentView(1), agentView(2)];

function listed(sessions: readonly SessionView[] = SESSIONS, agents: readonly AgentView[] = AGENTS): State {
  const start = initialState({ clusterName: "lab", size: { cols: 80, rows: 24 }, nowMs: NOW_MS });
  return play(start, { type: "cluster", sessions, agents }, { type: "loaded" }).state;
}

/** The state after all actions, and every effect on the way. */
function play(state: State, ...actions: Action[]): { state: State; effects: Effect[] } {
  const effects: Effect[] = [];
  for (const action of actions) {
    const step = reduce(state, action);
    state = step.state;
    effects.push(...step.effects);
  }
  return { state, effects };
}

/** Keys by name (`enter`, `ctrl-c`) or by text, each character a key. */
function keys(...typed: (string | { name: Exclude<Key["name"], "char"> })[]): Action[] {
  return typed.flatMap((part): Action[] =>
    typeof part === "string"
      ? Array.from(part, (char): Action => ({ type: "key", key: { name: "char", char } }))
      : [{ type: "key", key: part }],
  );
}
const ENTER = { name: "enter" } as const;
const ESC = { name: "escape" } as const;
const TAB = { name: "tab" } as const;

const selectedName = (state: State): string | undefined =>
  state.table.rows.find(({ session }) => session.id === state.selected)?.session.name;

describe("moving", () => {
  test("j, J and down go down, k and up go up, and neither leaves the table", () => {
    const down = play(listed(), ...keys("j", { name: "down" }, "J")).state;
    expect(selectedName(down)).toBe("gamma");
    expect(selectedName(play(down, ...keys("k", { name: "up" }, "k")).state)).toBe("alpha");
  });

  test("a page is what is visible less one, and the selected row is always visible", () => {
    const start = listed(manySessions(1000));
    const { tableRows } = layoutOf(start);
    const paged = play(start, ...keys({ name: "pagedown" }, { name: "pagedown" })).state;
    expect(paged.position).toBe(2 * (tableRows - 1));
    for (const key of ["end", "pageup", "up", "home", "pagedown", "down"] as const) {
      const { state } = play(paged, ...keys({ name: key }));
      expect(state.top).toBeLessThanOrEqual(state.position);
      expect(state.position).toBeLessThan(state.top + tableRows);
    }
    expect(play(paged, ...keys({ name: "end" })).state.position).toBe(999);
  });

  test("a smaller terminal scrolls so that the selected row stays visible", () => {
    const atEnd = play(
      listed(manySessions(30)),
      { type: "resize", size: { cols: 80, rows: 60 } },
      ...keys({ name: "end" }),
    );
    const { state } = play(atEnd.state, { type: "resize", size: { cols: 80, rows: 24 } });
    expect(state.position).toBe(29);
    expect(state.top + layoutOf(state).tableRows).toBe(30);
  });
});

describe("selection", () => {
  test("the selection stays on its session when others come and go above it", () => {
    const state = play(listed(), ...keys("j")).state;
    const next = play(state, {
      type: "cluster",
      sessions: [sessionView(9, "aaa"), ...SESSIONS, sessionView(10, "aab")],
      agents: AGENTS,
    }).state;
    expect(selectedName(next)).toBe("beta");
    expect(next.position).toBe(3);
  });

  test("when the selected session goes, the row in its place is selected", () => {
    const state = play(listed(), ...keys("j")).state;
    const sessions = SESSIONS.filter(({ session }) => session.name !== "beta");
    expect(selectedName(play(state, { type: "cluster", sessions, agents: AGENTS }).state)).toBe("gamma");
    expect(play(state, { type: "cluster", sessions: [], agents: AGENTS }).state.selected).toBeNull();
  });

  test("a session just created is selected as soon as it is listed", () => {
    const fresh = sessionView(20, "zeta");
    const created = play(listed(), {
      type: "task-done",
      task: 1,
      request: { form: "create", agent: agentView(1).id, spec: { name: "zeta" } },
      session: fresh.session,
    }).state;
    expect(selectedName(created)).toBe("alpha");
    const next = play(created, { type: "cluster", sessions: [...SESSIONS, fresh], agents: AGENTS }).state;
    expect(selectedName(next)).toBe("zeta");
  });
});

describe("operations", () => {
  test("Enter attaches to a running session", () => {
    expect(play(listed(), ...keys(ENTER)).effects).toEqual([{ type: "attach", id: sessionId(1), name: "alpha" }]);
  });

  test("Enter on a stopped session asks, starts it, and attaches once it is started", () => {
    const asked = play(listed(), ...keys("j", ENTER));
    expect(asked.state.dialog).toMatchObject({ kind: "ask", question: "start", id: sessionId(2) });
    const started = play(asked.state, ...keys(ENTER));
    expect(started.effects).toEqual([
      { type: "operate", operation: "restart", id: sessionId(2), name: "beta", force: false },
    ]);
    expect(started.state.dialog).toEqual({ kind: "starting", id: sessionId(2) });
    const done = play(started.state, { type: "done", operation: "restart", id: sessionId(2), name: "beta" });
    expect(done.effects).toEqual([{ type: "attach", id: sessionId(2), name: "beta" }]);
    expect(done.state.dialog).toBeNull();
  });

  test("Esc while it starts drops the attach and not the start", () => {
    const waiting = play(listed(), ...keys("j", ENTER, ENTER, ESC)).state;
    expect(waiting.dialog).toBeNull();
    expect(waiting.busy.get(sessionId(2))).toBe("restart");
    expect(play(waiting, { type: "done", operation: "restart", id: sessionId(2), name: "beta" }).effects).toEqual([]);
  });

  test("Enter on a session whose agent does not answer attaches to nothing and says why", () => {
    const { state, effects } = play(listed(), ...keys("jj", ENTER));
    expect(effects).toEqual([]);
    expect(state.dialog).toMatchObject({ kind: "error", title: "agent-2 does not answer" });
  });

  test("a dialog about an agent that does not answer has the reason, whole", () => {
    const error = "10.0.0.1:222 has host key SHA256:abc, but SHA256:def is pinned: somebody else answers there";
    const down = [agentView(1, { connection: { state: "connecting", since: 0, error } })];
    const away = listed([{ ...sessionView(1, "alpha"), reachable: false }], down);
    for (const key of [ENTER, "n"])
      expect(play(away, ...keys(key)).state.dialog).toMatchObject({
        kind: "error",
        text: expect.stringMatching(/\n\nagent-1: 10\.0\.0\.1:222 has host key .* somebody else answers there$/),
      });
  });

  test.each(["b", "B"])("%s detaches everybody at once", (key) => {
    const { state, effects } = play(listed(), ...keys(key));
    expect(effects).toEqual([
      { type: "operate", operation: "background", id: sessionId(1), name: "alpha", force: false },
    ]);
    expect(state.dialog).toBeNull();
  });

  test.each([
    ["K", "y", "kill", false],
    ["d", "y", "delete", false],
    ["D", "Y", "delete", false],
    ["r", "y", "restart", true],
    ["R", "y", "restart", true],
  ] as const)("%s asks first, and %s does it", (key, yes, operation, force) => {
    const asked = play(listed(), ...keys(key));
    expect(asked.effects).toEqual([]);
    expect(asked.state.dialog).toMatchObject({ kind: "ask", id: sessionId(1) });
    const done = play(asked.state, ...keys(yes));
    expect(done.effects).toEqual([{ type: "operate", operation, id: sessionId(1), name: "alpha", force }]);
    expect(done.state.dialog).toBeNull();
    expect(play(asked.state, ...keys(ESC)).effects).toEqual([]);
    expect(play(asked.state, ...keys("n")).state.dialog).toBeNull();
  });

  test("Enter alone does not delete: the safe answer has the focus", () => {
    expect(play(listed(), ...keys("D", ENTER)).effects).toEqual([]);
    expect(play(listed(), ...keys("D", TAB, ENTER)).effects).toMatchObject([{ operation: "delete" }]);
  });

  test("R on a stopped session starts it without asking", () => {
    expect(play(listed(), ...keys("jR")).effects).toMatchObject([{ operation: "restart", force: false }]);
  });

  test("a session with an operation in flight takes no second one", () => {
    const busy = play(listed(), ...keys("Ky")).state;
    const { state, effects } = play(busy, ...keys("K"), ...keys("b"), ...keys(ENTER));
    expect(effects).toEqual([]);
    expect(state.dialog).toBeNull();
    expect(state.notice?.text).toContain("stopping");
  });

  test("a dialog is bound to its session, whatever moves meanwhile", () => {
    const asked = play(listed(), ...keys("K")).state;
    const moved = play(asked, {
      type: "cluster",
      sessions: [sessionView(9, "aaa"), ...SESSIONS],
      agents: AGENTS,
    }).state;
    expect(play(moved, ...keys("y")).effects).toMatchObject([{ operation: "kill", id: sessionId(1) }]);
  });

  test("a dialog whose session goes is closed with a word", () => {
    const asked = play(listed(), ...keys("D")).state;
    const gone = play(asked, { type: "cluster", sessions: SESSIONS.slice(1), agents: AGENTS }).state;
    expect(gone.dialog).toBeNull();
    expect(gone.notice?.text).toBe("alpha is gone, so its dialog was closed");
    expect(play(gone, ...keys("y")).effects).toEqual([]);
  });
});

describe("errors", () => {
  const failed = (id: SessionId, name: string, message: string): Action => ({
    type: "failed",
    operation: "kill",
    id,
    name,
    error: new ConvocateError("DOCKER_ERROR", message, { cause: new Error("the deeper reason") }),
  });

  test("a failure opens a dialog with all of it, which Enter and Esc close", () => {
    const { state } = play(listed(), ...keys("Ky"), failed(sessionId(1), "alpha", "Docker said no"));
    expect(state.busy.size).toBe(0);
    expect(state.dialog).toMatchObject({
      kind: "error",
      title: "Could not kill alpha",
      text: "Docker said no (DOCKER_ERROR)\nbecause: the deeper reason",
    });
    expect(play(state, ...keys(ENTER)).state.dialog).toBeNull();
    expect(play(state, ...keys(ESC)).state.dialog).toBeNull();
  });

  test("a failure does not take the keyboard from an open dialog: it waits, with a word", () => {
    const typing = play(listed(), ...keys("n", "ab"), failed(sessionId(1), "alpha", "no")).state;
    expect(typing.dialog).toMatchObject({ kind: "form", subject: { form: "create" } });
    expect(typing.notice?.text).toBe("Could not kill alpha");
    expect(play(typing, ...keys(ESC)).state.dialog).toMatchObject({ kind: "error", title: "Could not kill alpha" });
  });

  test("a failed start closes its waiting dialog", () => {
    const { state, effects } = play(listed(), ...keys("j", ENTER, ENTER), {
      ...failed(sessionId(2), "beta", "no"),
      operation: "restart",
    } as Action);
    expect(effects).toMatchObject([{ type: "operate" }]);
    expect(state.dialog).toMatchObject({ kind: "error", title: "Could not restart beta" });
  });

  test("a failed attach says why, one that ended says that it is back", () => {
    const error = new ConvocateError("HOST_KEY_MISMATCH", "another key");
    const lost = play(listed(), { type: "attach-ended", name: "alpha", outcome: { kind: "failed", error } }).state;
    expect(lost.dialog).toMatchObject({ kind: "error", text: "another key (HOST_KEY_MISMATCH)" });
    const back = play(listed(), {
      type: "attach-ended",
      name: "alpha",
      outcome: { kind: "ended", exitStatus: 0 },
    }).state;
    expect(back.notice?.text).toBe("back from alpha");
  });
});

describe("New", () => {
  test("starts on the reachable agent with the fewest running sessions", () => {
    const agents = [agentView(1), agentView(2, { connection: { state: "connecting", since: 0 } }), agentView(3)];
    const { state } = play(listed(SESSIONS, agents), ...keys("n"));
    expect(state.dialog).toMatchObject({ kind: "form", form: { values: { agent: agents[2]?.id } } });
  });

  test("creates what was typed", () => {
    const { effects, state } = play(
      listed(),
      ...keys(
        "N",
        "web-1",
        TAB,
        TAB,
        "5353/udp",
        TAB,
        "web.lab",
        TAB,
        "1.5",
        TAB,
        "2g",
        TAB,
        " ",
        TAB,
        TAB,
        " ",
        ENTER,
      ),
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
    const chosen = play(listed(), ...keys("n", "ok", TAB, { name: "right" }, ENTER)).effects;
    expect(chosen).toMatchObject([{ request: { form: "create", agent: AGENTS[1]?.id } }]);
    const single = play(listed([], [agentView(1)]), ...keys("n", "ok", TAB, "8080", ENTER)).effects;
    expect(single).toMatchObject([{ request: { spec: { port: 8080 } } }]);
  });

  test("an agent that stops answering while the form is open is not sent to", () => {
    const typing = play(listed(SESSIONS, [agentView(1)]), ...keys("n", "ok")).state;
    const gone = { ...agentView(1), connection: { state: "connecting", since: 0 } } as AgentView;
    const { effects } = play(typing, { type: "cluster", sessions: SESSIONS, agents: [gone] }, ...keys(ENTER));
    expect(effects).toEqual([]);
  });

  test("a refused create shows the error, and leads back to the form as it was typed", () => {
    const sent = play(listed(), ...keys("n", "big", ENTER));
    const [effect] = sent.effects;
    if (effect?.type !== "request") throw new Error("nothing was sent");
    const error = new ConvocateError("ADMISSION_DENIED", "admission denied");
    const { task, request, back, title } = effect;
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
    const { state } = play(listed([], []), ...keys("n"));
    expect(state.dialog).toMatchObject({ kind: "error", text: expect.stringContaining("convocate-host init-agent") });
  });
});

describe("leaving and staying", () => {
  test.each(["q", "Q"])("%s quits from the list, and is a letter in a name", (key) => {
    expect(play(listed(), ...keys(key)).effects).toEqual([{ type: "quit" }]);
    expect(play(listed(), ...keys("n", key)).effects).toEqual([]);
  });

  test("Ctrl-C quits from anywhere", () => {
    for (const before of ["", "n", "?", "D"])
      expect(play(listed(), ...keys(before, { name: "ctrl-c" })).effects).toEqual([{ type: "quit" }]);
  });

  test("a paste over the list does nothing, in a form it is text", () => {
    expect(play(listed(), { type: "paste", text: "Dy" })).toEqual({ state: listed(), effects: [] });
    const { state } = play(listed(), ...keys("n"), { type: "paste", text: "na\u001bme\n" });
    expect(state.dialog).toMatchObject({ form: { values: { name: "name" } } });
  });

  test("on a terminal too small to show what it does, no key does anything but quit", () => {
    const small = play(listed(), { type: "resize", size: { cols: 60, rows: 10 } }).state;
    expect(play(small, ...keys("jDy", ENTER))).toEqual({ state: small, effects: [] });
    expect(play(small, ...keys("q")).effects).toEqual([{ type: "quit" }]);
  });

  test("a key without a meaning changes nothing, so that nothing is drawn", () => {
    const state = listed();
    expect(reduce(state, keys("x")[0] as Action).state).toBe(state);
    expect(reduce(state, keys("k")[0] as Action).state).toBe(state);
  });

  test("a word in the status line goes after some seconds", () => {
    const told = play(listed(), ...keys("jb")).state;
    expect(told.notice?.text).toContain("not running");
    expect(play(told, { type: "tick", nowMs: NOW_MS + 1000, load: [] }).state.notice).not.toBeNull();
    expect(play(told, { type: "tick", nowMs: NOW_MS + 60_000, load: [] }).state.notice).toBeNull();
  });
});
