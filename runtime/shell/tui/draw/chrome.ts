import type { Capacity } from "../../../domain/index.js";
import { layoutOf, sessionsText, stateText, type AgentCell } from "../model/layout.js";
import type { AgentRow } from "../model/snapshot.js";
import { findSession, type State, type Task } from "../model/state.js";
import { shortDuration } from "../../../domain/index.js";
import { clean, fit, truncate, widthOf } from "../text.js";
import { ends, line, spansWidth, type Line, type Span } from "./line.js";
import type { Style } from "./paint.js";

/** `convocate  demo          load 0.42 0.40 0.31   14:03:22   agents 2/2`. */
export function titleLine(state: State): Line {
  const { agents } = state.snapshot;
  const well = ({ state, reachable }: AgentRow): boolean => state === "up" || (state === "flapping" && reachable);
  const up = agents.filter(well).length;
  const allUp = agents.every((agent) => agent.state === "up");
  const agentsStyle: Style = agents.length === 0 ? "dim" : allUp ? "okBold" : up === 0 ? "badBold" : "warnBold";
  const load = state.load.map((value) => value.toFixed(2)).join(" ");
  return ends(
    [[" "], ["convocate", "accent"], ["  "], [state.clusterName, "bold"]],
    [
      ...(load ? ([["load ", "dim"], [load], ["   "]] satisfies Span[]) : []),
      [clock(state.nowMs)],
      ["   "],
      ["agents ", "dim"],
      [`${up}/${agents.length}`, agentsStyle],
      [" "],
    ],
    state.size.cols,
  );
}

/** `HH:MM:SS` of the shell host's local time. */
function clock(nowMs: number): string {
  const now = new Date(nowMs);
  return [now.getHours(), now.getMinutes(), now.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** The rule between table and agents, which says how much of the table is seen, and what the filter lets through. */
export function ruleLine(state: State): Line {
  const shown = state.table.rows.length;
  const total = state.snapshot.sessions.size;
  const { tableRows } = layoutOf(state);
  const of = state.filter === "" ? `${total} session${total === 1 ? "" : "s"}` : `${shown} found in ${total} sessions`;
  const seen = shown > tableRows ? `${state.top + 1}-${Math.min(shown, state.top + tableRows)} of ${of}` : of;
  const left: Span[] = [["─ agents ", "dim"]];
  const { waiting } = state.snapshot;
  const right: Span[] = [
    ...(waiting > 0
      ? ([
          [` ${waiting} waiting `, "warnBold"],
          ["─", "dim"],
        ] satisfies Span[])
      : []),
    ...(total > 0 ? ([[` ${seen} ─`, "dim"]] satisfies Span[]) : []),
  ];
  const rule = Math.max(0, state.size.cols - spansWidth(left) - spansWidth(right));
  return line([...left, ["─".repeat(rule), "dim"], ...right], state.size.cols);
}

const AGENT_MARK: Record<ReturnType<typeof stateText>, { mark: string; style: Style }> = {
  up: { mark: "●", style: "ok" },
  cordoned: { mark: "●", style: "warn" },
  silent: { mark: "◐", style: "warnBold" },
  deaf: { mark: "◑", style: "warnBold" },
  flapping: { mark: "◌", style: "warnBold" },
  connecting: { mark: "○", style: "badBold" },
};

/** The agents, as many as fit; those with a problem come first when not all do. */
export function agentLines(state: State): Line[] {
  const { agentLines: lines, agentsPerLine, agentCell } = layoutOf(state);
  const { agents } = state.snapshot;
  const width = state.size.cols;
  if (agents.length === 0) return [line([[state.loaded ? " none yet" : " looking for agents…", "dim"]], width)];
  const room = lines * agentsPerLine;
  const all = agents.length <= room;
  const ordered = all ? agents : [...agents].sort((a, b) => Number(a.state === "up") - Number(b.state === "up"));
  const shown = all ? ordered : ordered.slice(0, Math.max(1, room - 1));
  const cells: Span[][] = shown.map((agent) => agentSpans(agent, agentCell));
  if (shown.length < agents.length) cells.push([[`+${agents.length - shown.length} more`, "dim"]]);
  return Array.from({ length: lines }, (_, row) => {
    const inLine = cells.slice(row * agentsPerLine, (row + 1) * agentsPerLine);
    const spans = inLine.flatMap((cell, index): Span[] => (index === 0 ? cell : [["   "], ...cell]));
    return line([[" "], ...spans], width);
  });
}

function agentSpans(agent: AgentRow, cell: AgentCell): Span[] {
  const state = stateText(agent);
  const { mark, style } = AGENT_MARK[state];
  const bars: Span[] = [
    ...barSpans("cpu ", agent.capacity, "cpus", cell.bar),
    ...barSpans("mem ", agent.capacity, "memory_bytes", cell.bar),
    ...(cell.disk ? barSpans("disk ", agent.capacity, "disk_bytes", cell.bar) : []),
    ...(cell.release > 0
      ? ([["  "], [fit(clean(agent.view.release ?? ""), cell.release), "dim"]] satisfies Span[])
      : []),
  ];
  const why = whyDown(agent);
  return [
    [mark, style],
    [" "],
    [fit(clean(agent.view.name), cell.name)],
    ["  "],
    [fit(state, cell.state), style],
    ["  "],
    [fit(sessionsText(agent), cell.sessions)],
    ...(why === null ? bars : ([["  "], [fit(why, spansWidth(bars) - 2), "bad"]] satisfies Span[])),
  ];
}

/** Why an agent does not answer, as far as is known; its address, which most errors begin with, is left out. */
function whyDown({ view: { connection, address } }: AgentRow): string | null {
  if (connection.state === "connected" || connection.error === undefined) return null;
  const error = clean(connection.error);
  return error.startsWith(`${address} `) ? error.slice(address.length + 1) : error;
}

/**
 * `cpu █▒▒▒····  45%`: of what sessions may have, what they use now (full), what they were promised (half), and what is
 * free. The number is what was promised, which is what the next session is admitted by.
 */
function barSpans(
  label: string,
  capacity: Capacity | null,
  resource: "cpus" | "memory_bytes" | "disk_bytes",
  width: number,
): Span[] {
  if (!capacity) return [["  "], [label, "dim"], [" ".repeat(width + 5)]];
  const allowed = capacity.allowed[resource];
  const share = (amount: number): number => (allowed > 0 ? Math.min(1, amount / allowed) : 1);
  const pledged = share(capacity.pledged[resource]);
  const half = Math.round(pledged * width);
  const full = Math.min(half, Math.round(share(capacity.used[resource] ?? 0) * width));
  const style: Style = pledged >= 0.95 ? "bad" : pledged >= 0.75 ? "warn" : "ok";
  return [
    ["  "],
    [label, "dim"],
    ["█".repeat(full) + "▒".repeat(half - full), style],
    ["·".repeat(width - half), "dim"],
    [`${String(Math.round(pledged * 100)).padStart(4)}%`],
  ];
}

/** While a filter is typed: the filter. Else the selected session's UUID, and what is going on or was said last. */
export function statusLine(state: State): Line {
  const { cols } = state.size;
  if (state.filtering)
    return ends(
      [[" /", "accent"], [state.filter], [" ", "selected"]],
      [["Enter", "accent", { name: "enter" }], [" keep   "], ["Esc", "accent", { name: "escape" }], [" all "]],
      cols,
    );
  const view = state.selected === null ? undefined : findSession(state, state.selected);
  const filter: Span[] = state.filter === "" ? [] : [["/", "accent"], [truncate(state.filter, 20), "bold"], ["  "]];
  const left: Span[] = [[" "], ...filter, [view?.session.id ?? "", "dim"], ["  "]];
  const [word, style] = wordOf(state) ?? [""];
  const text = clean(word);
  // What does not fit beside the UUID takes its place.
  const beside = widthOf(text) < cols - spansWidth(left) ? left : [[" "] as const, ...filter];
  return ends(beside, [[fit(text, cols - spansWidth(beside) - 1, "right"), style], [" "]], cols);
}

function wordOf(state: State): readonly [string, Style] | null {
  if (state.notice)
    return [state.notice.text, ({ info: "bold", ok: "ok", bad: "badBold" } as const)[state.notice.tone]];
  const [task] = state.tasks.values();
  if (task) return [taskText(task, state), "warn"];
  const words = state.snapshot.agents.map((agent) => agentWord(agent, state.nowMs));
  const word = words.find((text) => text !== null);
  return word === undefined ? null : [word, "warn"];
}

/** What is wrong with an agent that its cell in the strip has no room for; null when nothing is. */
function agentWord({ state, view: { heard, name } }: AgentRow, nowMs: number): string | null {
  const ago = (at: string | null | undefined): string => (at ? ` for ${shortDuration(nowMs - Date.parse(at))}` : "");
  switch (state) {
    case "up":
    case "connecting":
      return null;
    case "silent":
      return `no event from ${name}${ago(heard?.last_heartbeat_at ?? heard?.since)}`;
    case "deaf":
      return `${name} has heard nothing from this host${ago(heard?.peer_lost_since)}`;
    case "flapping":
      return `${name} comes and goes`;
  }
}

/** `cloning api on agent-1 as api-2… 12s`, and how many more there are. */
function taskText(task: Task, { tasks, nowMs }: State): string {
  const more = tasks.size > 1 ? ` (+${tasks.size - 1})` : "";
  const far = task.progress ? ` ${task.progress}` : "";
  return `${task.text}…${far} ${shortDuration(nowMs - task.sinceMs)}${more}`;
}

const KEYS: readonly { key: string; word: string; session?: true; wide?: true }[] = [
  { key: "Enter", word: "attach", session: true },
  { key: "N", word: "new" },
  { key: "B", word: "background", session: true },
  { key: "R", word: "restart", session: true },
  { key: "K", word: "kill", session: true },
  { key: "D", word: "delete", session: true },
  { key: "C", word: "clone", session: true, wide: true },
  { key: "E", word: "edit", session: true, wide: true },
  { key: "M", word: "move", session: true, wide: true },
  { key: "P", word: "preview", session: true, wide: true },
  { key: "L", word: "logs", session: true, wide: true },
  { key: "S", word: "settings", wide: true },
  { key: "s", word: "sort", wide: true },
  { key: "/", word: "filter", wide: true },
  { key: "?", word: "help" },
  { key: "Q", word: "quit" },
];

/** The keys that do something now, as many as fit; a click on one is that key. */
export function keyLine(state: State): Line {
  const useful = KEYS.filter(({ session }) => !session || state.selected !== null);
  const fits = (keys: typeof KEYS): boolean =>
    keys.reduce((width, { key, word }) => width + key.length + word.length + 3, 0) <= state.size.cols + 1;
  const shown = [...useful];
  // From the least used of those that the help has too.
  for (let at = shown.length - 1; at >= 0 && !fits(shown); at -= 1) if (shown[at]?.wide) shown.splice(at, 1);
  const spans = shown.flatMap(({ key, word }, index): Span[] => {
    const pressed = key === "Enter" ? ({ name: "enter" } as const) : ({ name: "char", char: key } as const);
    return [[index === 0 ? " " : "  "], [key, "accent", pressed], [` ${word}`, undefined, pressed]];
  });
  return line(spans, state.size.cols);
}
