import { layoutOf, sessionsText, type AgentCell } from "../model/layout.js";
import type { AgentRow } from "../model/snapshot.js";
import { findSession, type State } from "../model/state.js";
import { clean, fit } from "../text.js";
import { ends, line, spansWidth, type Span } from "./line.js";
import type { Paint, Style } from "./paint.js";

/** `convocate  demo          load 0.42 0.40 0.31   14:03:22   agents 2/2`. */
export function titleLine(state: State, paint: Paint): string {
  const { agents } = state.snapshot;
  const up = agents.filter((agent) => agent.state === "up").length;
  const agentsStyle: Style = up === agents.length ? (up === 0 ? "dim" : "okBold") : up === 0 ? "badBold" : "warnBold";
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
    paint,
  );
}

/** `HH:MM:SS` of the shell host's local time. */
function clock(nowMs: number): string {
  const now = new Date(nowMs);
  return [now.getHours(), now.getMinutes(), now.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** The rule between table and agents, which says how much of the table is seen. */
export function ruleLine(state: State, paint: Paint): string {
  const total = state.snapshot.rows.length;
  const { tableRows } = layoutOf(state);
  const seen =
    total > tableRows
      ? `${state.top + 1}-${Math.min(total, state.top + tableRows)} of ${total} sessions`
      : `${total} session${total === 1 ? "" : "s"}`;
  const label = "─ agents ";
  const right = total === 0 ? "─" : ` ${seen} ─`;
  const width = state.size.cols;
  const rule = "─".repeat(Math.max(0, width - label.length - right.length));
  return line([[label + rule + right, "dim"]], width, paint);
}

const AGENT_MARK: Record<AgentRow["state"], { mark: string; style: Style }> = {
  up: { mark: "●", style: "ok" },
  silent: { mark: "◐", style: "warnBold" },
  connecting: { mark: "○", style: "badBold" },
};

/** The agents, as many as fit; those with a problem come first when not all do. */
export function agentLines(state: State, paint: Paint): string[] {
  const { agentLines: lines, agentsPerLine, agentCell } = layoutOf(state);
  const { agents } = state.snapshot;
  const width = state.size.cols;
  if (agents.length === 0) return [line([[" none yet", "dim"]], width, paint)];
  const room = lines * agentsPerLine;
  const all = agents.length <= room;
  const ordered = all ? agents : [...agents].sort((a, b) => Number(a.state === "up") - Number(b.state === "up"));
  const shown = all ? ordered : ordered.slice(0, Math.max(1, room - 1));
  const cells: Span[][] = shown.map((agent) => agentSpans(agent, agentCell));
  if (shown.length < agents.length) cells.push([[`+${agents.length - shown.length} more`, "dim"]]);
  return Array.from({ length: lines }, (_, row) => {
    const inLine = cells.slice(row * agentsPerLine, (row + 1) * agentsPerLine);
    const spans = inLine.flatMap((cell, index): Span[] => (index === 0 ? cell : [["   "], ...cell]));
    return line([[" "], ...spans], width, paint);
  });
}

function agentSpans(agent: AgentRow, cell: AgentCell): Span[] {
  const { mark, style } = AGENT_MARK[agent.state];
  return [
    [mark, style],
    [" "],
    [fit(clean(agent.view.name), cell.name)],
    ["  "],
    [fit(agent.state, cell.state), style],
    ["  "],
    [fit(sessionsText(agent), cell.sessions)],
    ["  "],
    [fit(clean(agent.view.release ?? ""), cell.release), "dim"],
  ];
}

/** The selected session's UUID, and the last word said; with no word, what is wrong with an agent that does not answer. */
export function statusLine(state: State, paint: Paint): string {
  const view = state.selected === null ? undefined : findSession(state, state.selected);
  const left: Span[] = [[" "], [view?.session.id ?? "", "dim"], ["  "]];
  const room = state.size.cols - spansWidth(left) - 1;
  const word = wordOf(state);
  if (!word) return line(left, state.size.cols, paint);
  return ends(left, [[fit(clean(word[0]), room, "right"), word[1]], [" "]], state.size.cols, paint);
}

function wordOf(state: State): readonly [string, Style] | null {
  if (state.notice)
    return [state.notice.text, ({ info: "bold", ok: "ok", bad: "badBold" } as const)[state.notice.tone]];
  for (const { view } of state.snapshot.agents)
    if (view.connection.state === "connecting" && view.connection.error !== undefined)
      return [`${view.name}: ${view.connection.error}`, "bad"];
  return null;
}

const KEYS = [
  ["Enter", "attach", "session"],
  ["N", "new", "always"],
  ["B", "background", "session"],
  ["R", "restart", "session"],
  ["K", "kill", "session"],
  ["D", "delete", "session"],
  ["?", "help", "always"],
  ["Q", "quit", "always"],
] as const;

/** The keys that do something now. */
export function keyLine(state: State, paint: Paint): string {
  const spans = KEYS.filter(([, , when]) => when === "always" || state.selected !== null).flatMap(
    ([key, word], index): Span[] => [[index === 0 ? " " : "  "], [key, "accent"], [` ${word}`]],
  );
  return line(spans, state.size.cols, paint);
}
