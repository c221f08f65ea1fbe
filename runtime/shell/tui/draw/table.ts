import { shortDuration, statusCharacter, statusDetail } from "../../../domain/index.js";
import type { SessionView } from "../../cluster.js";
import { layoutOf } from "../model/layout.js";
import type { State } from "../model/state.js";
import { DOING, NO_AGENTS_TEXT } from "../model/words.js";
import { clean, fit, wrap } from "../text.js";
import { line, type Span } from "./line.js";
import type { Paint, Style } from "./paint.js";

interface Columns {
  name: number;
  agent: number;
  port: number;
  dns: number;
  detail: number;
  last: number;
}

const GAP = "  ";
/** Marker, space, status, gap; five gaps between six columns; one column of margin at the right. */
const FIXED = 2 + 1 + 2 + 5 * GAP.length + 1;
const PORT = 9;
const LAST = 8;

/** Columns as wide as their content wants, within bounds, so that 80 columns hold all of them; what is left goes to detail. */
export function columnsOf(state: State): Columns {
  const { widest } = state.snapshot;
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

export function headLine(state: State, paint: Paint): string {
  const columns = columnsOf(state);
  const text = [
    fit("NAME", columns.name),
    fit("AGENT", columns.agent),
    fit("PORT", columns.port),
    fit("DNS", columns.dns),
    fit("DETAIL", columns.detail),
    fit("LAST USE", columns.last),
  ].join(GAP);
  return paint("head", fit(`  S  ${text}`, state.size.cols));
}

/** The visible rows of the table; how many sessions there are does not matter. */
export function tableLines(state: State, paint: Paint): string[] {
  const { tableRows } = layoutOf(state);
  const { rows } = state.snapshot;
  if (rows.length === 0) return emptyLines(state, tableRows, paint);
  const columns = columnsOf(state);
  const visible = rows.slice(state.top, state.top + tableRows);
  const lines = visible.map((view) => rowLine(state, view, columns, paint));
  while (lines.length < tableRows) lines.push(" ".repeat(state.size.cols));
  return lines;
}

function rowLine(state: State, view: SessionView, columns: Columns, paint: Paint): string {
  const { session } = view;
  const selected = session.id === state.selected;
  const doing = state.busy.get(session.id);
  const status = doing && doing !== "background" ? "L" : statusCharacter(session.status, view.reachable);
  const [detail, detailStyle] = detailOf(view, doing ? `${DOING[doing]}…` : null, state.nowMs);
  const cells = {
    name: fit(clean(session.name), columns.name),
    agent: fit(clean(view.agentName), columns.agent),
    port: fit(session.port > 0 ? `${session.port}/${session.protocol}` : "-", columns.port),
    dns: fit(clean(session.dns_name ?? "-"), columns.dns),
    detail: fit(clean(detail), columns.detail),
    last: fit(lastUse(session.last_accessed_at, state.nowMs), columns.last, "right"),
  };
  // Inverse turns colours into backgrounds, which few themes keep readable: the selected row has none.
  if (selected) {
    const text = `› ${status}  ${Object.values(cells).join(GAP)}`;
    return paint("selected", fit(text, state.size.cols));
  }
  if (!view.reachable) return paint("dim", fit(`  ${status}  ${Object.values(cells).join(GAP)}`, state.size.cols));
  const faint = (text: string, empty: boolean): Span => (empty ? [text, "dim"] : [text]);
  const spans: Span[] = [
    ["  "],
    [status, STATUS_STYLE[status]],
    [GAP],
    [cells.name, "bold"],
    [GAP],
    [cells.agent],
    [GAP],
    faint(cells.port, session.port <= 0),
    [GAP],
    faint(cells.dns, session.dns_name === null),
    [GAP],
    detailStyle ? [cells.detail, detailStyle] : [cells.detail],
    [GAP],
    [cells.last, "dim"],
  ];
  return line(spans, state.size.cols, paint);
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

function detailOf(view: SessionView, doing: string | null, nowMs: number): [string, Style?] {
  if (doing !== null) return [doing, "warn"];
  const { status } = view.session;
  const text = statusDetail(status, nowMs);
  if (status.state === "running" && status.activity?.kind === "waiting") return [text, "warnBold"];
  if (status.state === "error" || (status.state === "stopped" && status.oom_killed)) return [text, "bad"];
  if (status.state === "stopped" && (status.exit_code ?? 0) !== 0) return [text, "bad"];
  if (status.state === "locked") return [text, "warn"];
  return [text];
}

function lastUse(at: string, nowMs: number): string {
  const agoMs = nowMs - Date.parse(at);
  return agoMs < 5000 ? "now" : `${shortDuration(agoMs)} ago`;
}

/** What an empty table says: what to do next. */
function emptyLines(state: State, tableRows: number, paint: Paint): string[] {
  const { agents } = state.snapshot;
  const connecting = agents.filter((agent) => agent.state === "connecting");
  const [title, text] =
    agents.length === 0
      ? state.loaded
        ? ["No agents yet", NO_AGENTS_TEXT]
        : ["Starting", "Looking for agents…"]
      : connecting.length === agents.length
        ? ["No agent answers yet", `Connecting to ${agents.map(({ view }) => view.name).join(", ")}…`]
        : state.loaded
          ? ["No sessions yet", "Press N to create the first one."]
          : ["Starting", "Asking the agents for their sessions…"];
  const width = state.size.cols;
  const lines = ["", `  ${title}`, "", ...wrap(text, Math.min(76, width - 4)).map((part) => `  ${part}`)];
  return Array.from({ length: tableRows }, (_, row) => {
    const text = fit(lines[row] ?? "", width);
    return row === 1 ? paint("bold", text) : text;
  });
}
