import { shortDuration, statusCharacter, statusDetail, type Session } from "../../../domain/index.js";
import type { SessionView } from "../../cluster.js";
import { layoutOf } from "../model/layout.js";
import { agentRow } from "../model/snapshot.js";
import type { State } from "../model/state.js";
import type { Sort } from "../model/table.js";
import { DOING, NO_AGENTS_TEXT } from "../model/words.js";
import { clean, fit, wrap } from "../text.js";
import { line, slice, type Line, type Span } from "./line.js";
import type { Style } from "./paint.js";

interface Columns {
  name: number;
  agent: number;
  port: number;
  dns: number;
  detail: number;
  last: number;
}

const GAP = "  ";
/** Marker, space, status, mark, gap; five gaps between six columns; one column of margin at the right. */
const FIXED = 2 + 1 + 2 + 5 * GAP.length + 1;
const PORT = 9;
const LAST = 8;

/** Columns as wide as their content wants, within bounds, so that 80 columns hold all of them; what is left goes to detail. */
function columnsOf(state: State): Columns {
  const { widest } = state.table;
  const room = state.size.cols - FIXED - PORT - LAST;
  const least = { name: 14, agent: 7, dns: 10, detail: 12 };
  let spare = room - least.name - least.agent - least.dns - least.detail;
  const grow = (column: "name" | "agent" | "dns", most: number): number => {
    const wanted = Math.min(most, widest[column]) - least[column];
    const given = Math.max(0, Math.min(wanted, spare));
    spare -= given;
    return least[column] + given;
  };
  const agent = grow("agent", 16);
  const name = grow("name", 40);
  const dns = grow("dns", 40);
  return { name, agent, dns, port: PORT, last: LAST, detail: least.detail + spare };
}

const SORT_KEY = { name: "char", char: "s" } as const;

/** The heads; the one the list is sorted by stands out, and a click on any sorts by the next one. */
export function headLine(state: State): Line {
  const columns = columnsOf(state);
  const head = (text: string, width: number, sort?: Sort): Span => {
    const sorted = sort !== undefined && sort === state.sort;
    return [fit(sorted ? `${text}↓` : text, width), sorted ? "headSort" : "head", SORT_KEY];
  };
  const gap: Span = [GAP, "head"];
  return line(
    [
      ["  ", "head"],
      head(state.sort === "status" ? "" : "S", 1, "status"),
      gap,
      head("NAME", columns.name, "name"),
      gap,
      head("AGENT", columns.agent, "agent"),
      gap,
      head("PORT", columns.port),
      gap,
      head("DNS", columns.dns),
      gap,
      head(state.sort === "waiting" ? "WAITING" : "DETAIL", columns.detail, "waiting"),
      gap,
      head(state.sort === "last use" ? "LAST" : "LAST USE", columns.last, "last use"),
      [" ", "head"],
    ],
    state.size.cols,
  );
}

/** The visible rows of the table; how many sessions there are does not matter. */
export function tableLines(state: State): Line[] {
  const { tableRows } = layoutOf(state);
  const { rows } = state.table;
  if (rows.length === 0) return emptyLines(state, tableRows);
  const columns = columnsOf(state);
  const visible = rows.slice(state.top, state.top + tableRows);
  const lines: Line[] = visible.map((view) => rowLine(state, view, columns));
  while (lines.length < tableRows) lines.push(line([], state.size.cols));
  return withScrollBar(lines, state);
}

/** Where in the whole list the visible rows are, in the margin at the right; nothing where all of them are visible. */
function withScrollBar(lines: Line[], { table, top, size: { cols } }: State): Line[] {
  const hidden = table.rows.length - lines.length;
  if (hidden <= 0) return lines;
  const length = Math.max(1, Math.round(lines.length ** 2 / table.rows.length));
  const from = Math.round((top / hidden) * (lines.length - length));
  return lines.map((spans, row) =>
    row < from || row >= from + length ? spans : [...slice(spans, 0, cols - 1), ["▐", "border"]],
  );
}

function rowLine(state: State, view: SessionView, columns: Columns): Line {
  const { session } = view;
  const selected = session.id === state.selected;
  const gone = state.table.gone.has(session.id);
  const doing = state.busy.get(session.id);
  const status =
    doing && doing !== "background" && doing !== "edit" ? "L" : statusCharacter(session.status, view.reachable);
  const [detail, detailStyle] = gone
    ? (["gone", "dim"] as const)
    : view.reachable
      ? detailOf(view, doing ? `${DOING[doing]}…` : null, state, columns.detail)
      : [unreachableText(view, state)];
  // Docker's socket is root on the agent's host: every list warns (SPEC 6.4).
  const mark = session.docker ? "#" : " ";
  const cells = {
    name: fit(clean(session.name), columns.name),
    agent: fit(clean(view.agentName), columns.agent),
    port: fit(session.port > 0 ? `${session.port}/${session.protocol}` : "-", columns.port),
    dns: fit(clean(session.dns_name ?? "-"), columns.dns),
    detail: fit(clean(detail), columns.detail),
    last: fit(lastUse(session.last_accessed_at, state.nowMs), columns.last, "right"),
  };
  const text = `${status}${mark} ${Object.values(cells).join(GAP)}`;
  // Inverse turns colours into backgrounds, which few themes keep readable: the selected row has none.
  if (selected) return [[fit(`› ${text}`, state.size.cols), "selected"]];
  if (gone || !view.reachable) return [[fit(`  ${text}`, state.size.cols), "dim"]];
  const faint = (value: string, empty: boolean): Span => (empty ? [value, "dim"] : [value]);
  return line(
    [
      ["  "],
      [status, STATUS_STYLE[status]],
      [mark, "badBold"],
      [" "],
      [cells.name, "bold"],
      [GAP],
      [cells.agent],
      [GAP],
      faint(cells.port, session.port <= 0),
      [GAP],
      faint(cells.dns, session.dns_name === null),
      [GAP],
      [cells.detail, detailStyle],
      [GAP],
      [cells.last, "dim"],
    ],
    state.size.cols,
  );
}

const STATUS_STYLE: Record<ReturnType<typeof statusCharacter>, Style> = {
  R: "okBold",
  C: "accent",
  L: "warnBold",
  "-": "dim",
  "?": "dim",
  "!": "badBold",
  O: "warn",
};

/** Why it waits, where the reason says more than the waiting. */
const WHY: Partial<Record<string, string>> = {
  permission: "permission",
  question: "question",
  "api-error": "API error",
};

function detailOf(
  { session }: SessionView,
  doing: string | null,
  { nowMs }: State,
  width: number,
): readonly [string, Style | undefined] {
  if (doing !== null) return [doing, "warn"];
  if (session.moved_to) return ["move cut off: M ends it", "badBold"];
  const { status } = session;
  const [whole, style] = statusWords(status, nowMs);
  // A reason that does not fit is left out rather than cut to a letter.
  const text = whole.length > width && whole.startsWith("waiting") ? statusDetail(status, nowMs) : whole;
  const extra = session.restart_to_apply ? "restart to apply" : session.docker ? "docker socket" : "";
  if (extra === "") return [text, style];
  return text === "" ? [extra, "warn"] : [`${text}, ${extra}`, style ?? "warn"];
}

/** For how long its agent has not answered: what the session did then may be over. */
function unreachableText({ session }: SessionView, { snapshot, nowMs }: State): string {
  const connection = agentRow(snapshot, session.agent_id)?.view.connection;
  return connection?.state === "connecting" ? `no answer ${shortDuration(nowMs - connection.since)}` : "no answer";
}

function statusWords(status: Session["status"], nowMs: number): readonly [string, Style | undefined] {
  const text = statusDetail(status, nowMs);
  switch (status.state) {
    case "running": {
      if (status.starting) return [text, "warn"];
      if (status.activity?.kind !== "waiting") return [text, status.oom_kills === undefined ? undefined : "bad"];
      const why = WHY[status.activity.why ?? ""];
      return [why ? `${text}: ${why}` : text, "warnBold"];
    }
    case "stopped":
      return [text, status.oom_killed || (status.exit_code ?? 0) !== 0 ? "bad" : undefined];
    case "locked":
      return status.stale
        ? ["stale lock: O", "badBold"]
        : [`${text} ${shortDuration(nowMs - Date.parse(status.since))}`, "warn"];
    case "error":
      return [text, "bad"];
    case "orphan":
      return [text, "warn"];
  }
}

function lastUse(at: string, nowMs: number): string {
  const agoMs = nowMs - Date.parse(at);
  return agoMs < 5000 ? "now" : `${shortDuration(agoMs)} ago`;
}

/** What an empty table says: what to do next. */
function emptyLines(state: State, tableRows: number): Line[] {
  const [title, text] = emptyText(state);
  const width = state.size.cols;
  const lines = ["", `  ${title}`, "", ...wrap(text, Math.min(76, width - 4)).map((part) => `  ${part}`)];
  return Array.from({ length: tableRows }, (_, row) =>
    line([[lines[row] ?? "", row === 1 ? "bold" : undefined]], width),
  );
}

function emptyText({ snapshot: { agents, sessions }, loaded, filter }: State): [title: string, text: string] {
  if (sessions.size > 0)
    return [
      `Nothing found for "${filter}"`,
      "The filter looks in names, agents, DNS names, ports, states and ids. Esc shows all sessions.",
    ];
  if (agents.length === 0) return loaded ? ["No agents yet", NO_AGENTS_TEXT] : ["Starting", "Looking for agents…"];
  if (agents.every((agent) => !agent.reachable))
    return [
      "No agent answers yet",
      `Connecting to ${agents.map(({ view }) => view.name).join(", ")}…\n\n` +
        "They are tried again by themselves. `convocate agents` says what is wrong with each, and `convocate-host doctor` " +
        "on the machine that has the checkout what mends it.",
    ];
  return loaded
    ? [
        "No sessions yet",
        "Press N to create the first one. Each is a Claude CLI in a container of its own; it goes on when you leave.",
      ]
    : ["Starting", "Asking the agents for their sessions…"];
}
