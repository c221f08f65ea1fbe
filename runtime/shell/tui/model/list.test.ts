import { describe, expect, test } from "@jest/globals";
import { ConvocateError } from "../../../domain/index.js";
import type { AgentView, SessionView } from "../../cluster.js";
import {
  agentId,
  agentView,
  ago,
  capacity,
  manySessions,
  NOW_MS,
  running,
  SETTINGS,
  sessionId,
  sessionView,
  stopped,
  waiting,
} from "../../../../test/tui/fixtures.js";
import { drawState } from "../draw/frame.js";
import type { Key } from "./keys.js";
import { reduce } from "./reduce.js";
import { initialState, type Action, type Effect, type State } from "./state.js";

const SESSIONS = [
  sessionView(1, "alpha", { status: running(1), port: 8080, dns_name: "alpha.lab" }),
  sessionView(2, "beta", { status: waiting(10), last_accessed_at: ago(5) }),
  sessionView(3, "gamma", { status: waiting(500) }, { agent: 2 }),
  sessionView(4, "locked", { status: { state: "locked", operation: "clone", since: ago(70) } }),
  sessionView(5, "stale", { status: { state: "locked", operation: "kill", since: ago(70), stale: true } }),
  sessionView(6, "zeta", { status: stopped() }),
];
const AGENTS = [agentView(1), agentView(2)];
const ENTER = { name: "enter" } as const;
const ESC = { name: "escape" } as const;
const TAB = { name: "tab" } as const;

const cluster = (sessions: readonly SessionView[] = SESSIONS, agents: readonly AgentView[] = AGENTS): Action => ({
  type: "cluster",
  sessions,
  agents,
});
function play(state: State, ...actions: Action[]): { state: State; effects: Effect[] } {
  const effects: Effect[] = [];
  for (const action of actions) {
    const step = reduce(state, action);
    state = step.state;
    effects.push(...step.effects);
  }
  return { state, effects };
}
function listed(...actions: Action[]): State {
  const start = initialState({ clusterName: "lab", size: { cols: 100, rows: 24 }, nowMs: NOW_MS });
  return play(start, cluster(), { type: "loaded" }, ...actions).state;
}
function keys(...typed: (string | { name: Exclude<Key["name"], "char"> })[]): Action[] {
  return typed.flatMap((part): Action[] =>
    typeof part === "string"
      ? Array.from(part, (char): Action => ({ type: "key", key: { name: "char", char } }))
      : [{ type: "key", key: part }],
  );
}
const at = (nowMs: number): Action => ({ type: "tick", nowMs, load: [] });
const names = (state: State): string[] => state.table.rows.map(({ session }) => session.name);
const selectedName = (state: State): string | undefined =>
  state.selected === null ? undefined : state.snapshot.sessions.get(state.selected)?.session.name;

describe("filter", () => {
  test("/ filters while it is typed, Enter keeps it, Esc in the list takes it away", () => {
    const typing = play(listed(), ...keys("/", "ET")).state;
    expect(names(typing)).toEqual(["beta", "zeta"]);
    const kept = play(typing, ...keys(ENTER, "j")).state;
    expect(selectedName(kept)).toBe("zeta");
    expect(names(play(kept, ...keys(ESC)).state)).toHaveLength(SESSIONS.length);
    expect(selectedName(play(kept, ...keys(ESC)).state)).toBe("zeta");
  });

  test.each([
    ["agent-2", ["gamma"]],
    ["8080", ["alpha"]],
    ["alpha.lab", ["alpha"]],
    ["waiting", ["beta", "gamma"]],
    ["waiting agent-1", ["beta"]],
    ["000000000006", ["zeta"]],
    ["nothing-like-it", []],
  ])("%s finds %j", (text, found) => {
    expect(names(play(listed(), ...keys("/", text)).state)).toEqual(found);
  });

  test("its letters are no commands, its paste is text, and nothing found says how to get out", () => {
    const { state, effects } = play(listed(), ...keys("/", "qDK"), { type: "paste", text: "\u001b[2Jx" });
    expect(effects).toEqual([]);
    expect(state.filter).toBe("qDK[2Jx");
    expect(drawState(state, false)).toContain("Nothing found for");
  });
});

describe("sort", () => {
  test("s goes through the orders; the longest wait comes first", () => {
    const sorted = play(listed(), ...keys("s")).state;
    expect(sorted.sort).toBe("waiting");
    expect(names(sorted).slice(0, 3)).toEqual(["gamma", "beta", "alpha"]);
    expect(names(play(sorted, ...keys("s")).state)[0]).toBe("beta");
    expect(play(sorted, ...keys("ssss")).state.sort).toBe("name");
  });

  test("the selection stays on its session, wherever it goes", () => {
    const state = play(listed(), ...keys("jj")).state;
    expect(selectedName(state)).toBe("gamma");
    const sorted = play(state, ...keys("s")).state;
    expect(selectedName(sorted)).toBe("gamma");
    expect(sorted.position).toBe(0);
  });
});

describe("while a dialog is open", () => {
  const others = [sessionView(20, "aaa"), ...SESSIONS.filter(({ session }) => session.name !== "beta")];

  test("no row moves: what comes and what goes is listed when it closes", () => {
    const asked = play(listed(), ...keys("jjK"), cluster(others)).state;
    expect(names(asked)).toEqual(names(listed()));
    expect(drawState(asked, false)).toMatch(/^ {2}R {2}beta +agent-1 .*gone/m);
    const closed = play(asked, ...keys(ESC)).state;
    expect(names(closed)).toEqual(["aaa", "alpha", "gamma", "locked", "stale", "zeta"]);
    expect(selectedName(closed)).toBe("gamma");
  });

  test("rows show what is known of them now, in their places", () => {
    const changed = SESSIONS.map((view) => ({ ...view, session: { ...view.session, status: stopped(7) } }));
    const asked = play(listed(), ...keys("?"), cluster(changed)).state;
    expect(asked.table.rows[0]?.session.status).toEqual(stopped(7));
  });
});

describe("flapping", () => {
  const down = agentView(2, { connection: { state: "connecting", since: 0, error: "lost" } });
  const turn = (ms: number, agent: AgentView): Action[] => [at(NOW_MS + ms), cluster(SESSIONS, [agentView(1), agent])];

  test("an agent that comes and goes is shown as such, until it has been quiet for two minutes", () => {
    const once = listed(...turn(1000, down), ...turn(2000, agentView(2)));
    expect(once.snapshot.agents[1]?.state).toBe("up");
    const flapping = play(once, ...turn(20_000, down), ...turn(21_000, agentView(2))).state;
    expect(flapping.snapshot.agents[1]).toMatchObject({ state: "flapping", reachable: true });
    expect(drawState(flapping, false)).toMatch(/◌ agent-2 +flapping/);
    expect(drawState(flapping, false)).toContain("agent-2 comes and goes");
    const quiet = play(flapping, ...turn(200_000, agentView(2))).state;
    expect(quiet.snapshot.agents[1]?.state).toBe("up");
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
    const [effect] = sent.effects;
    if (effect?.type !== "request") throw new Error("nothing was sent");
    const session = { ...SESSIONS[0]!.session, name: "alphax", restart_to_apply: true };
    const { state } = play(
      sent.state,
      { type: "task-done", task: effect.task, request: effect.request, session },
      cluster([{ ...SESSIONS[0]!, session }]),
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
    const [effect] = sent.effects;
    if (effect?.type !== "request") throw new Error("nothing was sent");
    const { task, request } = effect;
    const { state } = play(sent.state, { type: "task-progress", task, progress: "1.5 GiB" }, at(NOW_MS + 61_000));
    expect(drawState(state, false)).toContain("moving alpha on agent-1 to agent-2… 1.5 GiB 1m");
    const done = play(state, { type: "task-done", task, request, session: SESSIONS[0]!.session }).state;
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

describe("logs and preview", () => {
  const lines = (from: number, count: number): { timestamp: string; text: string }[] =>
    Array.from({ length: count }, (_, index) => ({
      timestamp: new Date(NOW_MS + (from + index) * 1000).toISOString(),
      text: `line ${from + index}\u001b]52;c;eA==\u0007`,
    }));
  const told = (from: number, count: number): Action => ({ type: "logs", id: sessionId(1), lines: lines(from, count) });

  test("L follows: asks every second for what is new, never twice at once", () => {
    const opened = play(listed(), ...keys("L"), at(NOW_MS + 1000));
    expect(opened.effects).toEqual([{ type: "logs", id: sessionId(1) }]);
    const followed = play(opened.state, told(0, 3), at(NOW_MS + 2000));
    expect(followed.effects).toEqual([{ type: "logs", id: sessionId(1), after: lines(2, 1)[0]?.timestamp }]);
    const shown = drawState(play(followed.state, told(2, 3)).state, false);
    expect(shown.match(/line 2/g)).toHaveLength(1);
    expect(shown).toContain("line 4");
    expect(shown).not.toContain("\u001b");
  });

  test("what is scrolled back to stays in place while more comes, and End follows again", () => {
    const opened = play(listed(), ...keys("L"), told(0, 100), ...keys({ name: "pageup" })).state;
    const first = /line \d+/.exec(drawState(opened, false))?.[0];
    const more = play(opened, told(100, 50)).state;
    expect(/line \d+/.exec(drawState(more, false))?.[0]).toBe(first);
    expect(drawState(play(more, ...keys({ name: "end" })).state, false)).toContain("line 149");
  });

  test("an answer that comes after the dialog was closed opens nothing", () => {
    const closed = play(listed(), ...keys("L", ESC), told(0, 3)).state;
    expect(closed.dialog).toBeNull();
    expect(
      play(listed(), ...keys("P", ESC), { type: "screen", id: sessionId(1), lines: ["x"] }).state.dialog,
    ).toBeNull();
  });

  test("in a preview j and k go on to the next session that runs, and Enter attaches to it", () => {
    const sessions = [
      sessionView(1, "a"),
      sessionView(2, "b", { status: stopped() }),
      sessionView(3, "c", {}, { reachable: false }),
      sessionView(4, "d"),
    ];
    const opened = play(listed({ type: "cluster", sessions, agents: [agentView(1)] }), ...keys("P"));
    const next = play(opened.state, ...keys("j"));
    expect(next.effects).toEqual([{ type: "screen", id: sessionId(4) }]);
    expect(selectedName(next.state)).toBe("d");
    // The answer for the one before comes too late.
    const late = play(next.state, { type: "screen", id: sessionId(1), lines: ["of a"] }).state;
    expect(drawState(late, false)).toContain("Asking for its screen");
    expect(play(next.state, ...keys("j")).state).toBe(next.state);
    expect(selectedName(play(next.state, ...keys("k")).state)).toBe("a");
    const entered = play(next.state, ...keys({ name: "enter" }));
    expect(entered.effects).toEqual([{ type: "attach", id: sessionId(4), name: "d" }]);
    expect(entered.state.dialog).toBeNull();
  });

  test("P shows the screen, and an error whole", () => {
    const opened = play(listed(), ...keys("P"));
    expect(opened.effects).toEqual([{ type: "screen", id: sessionId(1) }]);
    expect(drawState(opened.state, false)).toContain("Asking for its screen");
    expect(
      drawState(play(opened.state, { type: "screen", id: sessionId(1), lines: ["> hi", ""] }).state, false),
    ).toContain("> hi");
    expect(drawState(play(opened.state, { type: "screen", id: sessionId(1), lines: ["", ""] }).state, false)).toContain(
      "Nothing is on its screen yet.",
    );
    const coloured = play(opened.state, {
      type: "screen",
      id: sessionId(1),
      lines: ["\u001b[1;31mred", "too\u001b[2J"],
    });
    expect(drawState(coloured.state, true)).toMatch(/\u001b\[1;31mred\u001b\[0m[^]*\u001b\[1;31mtoo\u001b\[0m/);
    expect(drawState(coloured.state, true)).not.toContain("\u001b[2J");
    const error = new ConvocateError("UNKNOWN_OP", "update the agent");
    expect(
      drawState(play(opened.state, { type: "view-failed", view: "preview", id: sessionId(1), error }).state, false),
    ).toContain("update the agent (UNKNOWN_OP)");
  });
});

describe("settings", () => {
  const loaded: Action = {
    type: "settings",
    agent: agentId(1),
    loaded: { effective: SETTINGS, changes: { cpus: 0.5 } },
  };

  test("S asks the selected session's agent, shows what holds, and sends only what was changed", () => {
    const opened = play(listed(), ...keys("S"));
    expect(opened.effects).toEqual([{ type: "settings", agent: agentId(1) }]);
    const shown = play(opened.state, loaded).state;
    expect(drawState(shown, false)).toMatch(/Release +3\.0\.0, image convocate:3\.0\.0/);
    const { effects } = play(shown, ...keys(TAB, { name: "ctrl-u" }, "80", TAB, TAB, TAB, { name: "ctrl-u" }, ENTER));
    expect(effects).toMatchObject([
      { request: { form: "settings", agent: agentId(1), change: { cpu_percent: 80, cpus: null } } },
    ]);
    expect(play(shown, ...keys(TAB, "0", ENTER)).effects).toEqual([]);
  });

  test("another agent is asked when it is chosen", () => {
    const { effects, state } = play(listed(), ...keys("S"), loaded, ...keys({ name: "right" }), loaded);
    expect(effects.at(-1)).toEqual({ type: "settings", agent: agentId(2) });
    expect(state.dialog).toMatchObject({ kind: "settings", agent: agentId(2), loaded: null });
  });
});

describe("mouse", () => {
  const click = (y: number): Action => ({ type: "mouse", mouse: { kind: "click", x: 10, y } });
  const scroll = (by: 1 | -1): Action => ({ type: "mouse", mouse: { kind: "scroll", by, x: 10, y: 10 } });

  test("a click selects a row, another one opens it, the wheel goes three rows", () => {
    const selected = play(listed(), click(3));
    expect(selectedName(selected.state)).toBe("beta");
    expect(play(selected.state, click(3)).effects).toMatchObject([{ type: "attach", name: "beta" }]);
    const many = play(listed(), cluster(manySessions(100)), scroll(1), scroll(1), scroll(-1)).state;
    expect(many.position).toBe(3);
  });

  test("a click behind an open dialog, or where nothing is, does nothing", () => {
    const asked = play(listed(), ...keys("K")).state;
    expect(play(asked, click(3)).state).toBe(asked);
    const state = listed();
    expect(play(state, click(15)).state).toBe(state);
    expect(play(state, click(0)).state).toBe(state);
  });
});

test("names, titles and errors with escape sequences are made safe where they come in", () => {
  const evil = "x\u001b]52;c;ZXZpbA==\u0007\u001b[2J\u001b[1;1Hy\u0007\u009b31m\u202e";
  const sessions = [
    sessionView(
      1,
      evil,
      { dns_name: evil, image: evil, status: { state: "error", message: evil } },
      { agentName: evil },
    ),
  ];
  const agents = [
    agentView(1, { name: evil, release: evil, connection: { state: "connecting", since: 0, error: evil } }),
  ];
  let { state } = play(listed(), cluster(sessions, agents));
  expect(JSON.stringify([...state.snapshot.sessions.values(), state.snapshot.agents])).not.toMatch(
    /\\u00[01]|\\u009b|\u009b|\u202e/,
  );
  for (const letter of ["", "E", "D", "S", "?"]) {
    state = play(state, ...keys(ESC, ESC, letter)).state;
    expect(drawState(state, false).replaceAll("\n", "")).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  }
});

test("Ctrl-Z stops the program from anywhere", () => {
  for (const before of ["", "n", "?", "D", "/"])
    expect(play(listed(), ...keys(before, { name: "ctrl-z" })).effects).toEqual([{ type: "stop" }]);
});
