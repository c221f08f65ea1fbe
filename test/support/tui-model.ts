import type { AgentView, SessionView } from "../../runtime/shell/cluster.js";
import type { Key } from "../../runtime/shell/tui/model/keys.js";
import { reduce } from "../../runtime/shell/tui/model/reduce.js";
import { initialState, type Action, type Effect, type State } from "../../runtime/shell/tui/model/state.js";
import { agentView, ago, NOW_MS, running, sessionView, stopped, waiting } from "../tui/fixtures.js";

export const ENTER = { name: "enter" } as const;
export const ESC = { name: "escape" } as const;
export const TAB = { name: "tab" } as const;

/** The terminals that frames are drawn for: the smallest there may be, a usual one, a large one. */
export const SIZES = [
  { cols: 80, rows: 24 },
  { cols: 120, rows: 40 },
  { cols: 200, rows: 60 },
] as const;

/** Sessions in each state that a key can meet, in the order in which they are listed. */
export const SESSIONS: readonly [SessionView, ...SessionView[]] = [
  sessionView(1, "alpha", { status: running(1), port: 8080, dns_name: "alpha.lab" }),
  sessionView(2, "beta", { status: waiting(10), last_accessed_at: ago(5) }),
  sessionView(3, "gamma", { status: waiting(500) }, { agent: 2 }),
  sessionView(4, "locked", { status: { state: "locked", operation: "clone", since: ago(70) } }),
  sessionView(5, "stale", { status: { state: "locked", operation: "kill", since: ago(70), stale: true } }),
  sessionView(6, "zeta", { status: stopped() }),
];
export const AGENTS: readonly AgentView[] = [agentView(1), agentView(2)];

/** The TUI as it starts, before it knows anything, and then those actions. */
export function started(size: { cols: number; rows: number }, ...actions: Action[]): State {
  return play(initialState({ clusterName: "lab", size, nowMs: NOW_MS }), ...actions).state;
}

/** The list of SESSIONS at 100x24, and then those actions. */
export function listed(...actions: Action[]): State {
  return started({ cols: 100, rows: 24 }, cluster(), { type: "loaded" }, ...actions);
}

/** The state after all actions, and every effect on the way. */
export function play(state: State, ...actions: Action[]): { state: State; effects: Effect[] } {
  const effects: Effect[] = [];
  for (const action of actions) {
    const step = reduce(state, action);
    state = step.state;
    effects.push(...step.effects);
  }
  return { state, effects };
}

/** Keys by name (`enter`, `ctrl-c`) or by text, each character a key. */
export function keys(...typed: (string | { name: Exclude<Key["name"], "char"> })[]): Action[] {
  return typed.flatMap((part): Action[] =>
    typeof part === "string"
      ? Array.from(part, (char): Action => ({ type: "key", key: { name: "char", char } }))
      : [{ type: "key", key: part }],
  );
}

export function cluster(
  sessions: readonly SessionView[] = SESSIONS,
  agents: readonly AgentView[] = AGENTS,
): Extract<Action, { type: "cluster" }> {
  return { type: "cluster", sessions, agents };
}

/** The clock says so. */
export function at(nowMs: number): Extract<Action, { type: "tick" }> {
  return { type: "tick", nowMs, load: [] };
}

/** The one request among what a step asked for; throws when there is another number of them. */
export function requestOf(effects: readonly Effect[]): Extract<Effect, { type: "request" }> {
  const [effect, ...others] = effects;
  if (effect?.type !== "request" || others.length > 0) throw new Error(`no request alone: ${JSON.stringify(effects)}`);
  return effect;
}

/** Name of the row that is selected, if one is. */
export function selectedName(state: State): string | undefined {
  return state.table.rows.find(({ session }) => session.id === state.selected)?.session.name;
}
