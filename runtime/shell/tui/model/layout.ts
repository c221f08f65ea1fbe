import { widthOf } from "../text.js";
import { isCordoned, type AgentRow } from "./snapshot.js";
import { MIN_SIZE, type Dialog, type Size, type State } from "./state.js";

/** How the screen's lines are shared out: title, column heads, table, rule, agents, status line, keys. */
export interface Layout {
  tableRows: number;
  agentLines: number;
  agentsPerLine: number;
  /** Columns of each part of an agent's cell in the strip: as wide as the widest agent needs; 0 leaves it out. */
  agentCell: AgentCell;
}

export interface AgentCell {
  name: number;
  state: number;
  sessions: number;
  /** Of a bar's blocks. */
  bar: number;
  disk: boolean;
  release: number;
}

/** Lines that are always there: title, heads, rule, status, keys. */
const CHROME_LINES = 5;
/** The table's first line on the screen. */
export const TABLE_TOP = 2;
/** Columns beside the blocks of a bar: `cpu ` before, ` 100%` after. */
const BAR_TEXT = 4 + 5;
const GAP = 2;
/** Between two cells. */
const CELL_GAP = 3;

export function layoutOf(state: Pick<State, "size" | "snapshot">): Layout {
  const { cols, rows } = state.size;
  const { agents } = state.snapshot;
  const widest = (text: (agent: AgentRow) => string, most: number): number =>
    agents.reduce((width, agent) => Math.max(width, Math.min(most, widthOf(text(agent)))), 1);
  const name = widest((agent) => agent.view.name, 16);
  const stateWidth = widest(stateText, 10);
  const sessions = widest(sessionsText, 14);
  const release = widest((agent) => agent.view.release ?? "", 20);
  const bar = cols >= 100 ? 10 : 8;
  // Mark and space, then the parts.
  const width = 2 + name + GAP + stateWidth + GAP + sessions + 2 * (GAP + BAR_TEXT + bar);
  const agentsPerLine = Math.max(1, Math.min(agents.length, Math.floor((cols - 2 + CELL_GAP) / (width + CELL_GAP))));
  let spare = Math.floor((cols - 2 + CELL_GAP) / agentsPerLine) - CELL_GAP - width;
  const takes = (columns: number): boolean => spare >= columns && (spare -= columns) >= 0;
  const withRelease = takes(GAP + release);
  const disk = takes(GAP + BAR_TEXT + bar + 1);
  const mostLines = rows < 50 ? 3 : 5;
  const agentLines = Math.max(1, Math.min(mostLines, Math.ceil(agents.length / agentsPerLine)));
  return {
    tableRows: Math.max(1, rows - CHROME_LINES - agentLines),
    agentLines,
    agentsPerLine,
    agentCell: { name, state: stateWidth, sessions, bar, disk, release: withRelease ? release : 0 },
  };
}

/** An agent's state; one that is well and takes no new sessions is cordoned. */
export function stateText(agent: AgentRow): AgentRow["state"] | "cordoned" {
  return agent.state === "up" && isCordoned(agent) ? "cordoned" : agent.state;
}

/** `3 sessions`. */
export function sessionsText({ sessions }: AgentRow): string {
  return `${sessions} session${sessions === 1 ? "" : "s"}`;
}

export function isTooSmall(size: Size): boolean {
  return size.cols < MIN_SIZE.cols || size.rows < MIN_SIZE.rows;
}

/** Inner width of a dialog, in columns, within a frame of four. Logs and previews take what there is. */
export function dialogWidth(size: Size, kind?: Dialog["kind"]): number {
  return kind === "logs" || kind === "preview" ? size.cols - 4 : Math.min(68, size.cols - 8);
}

/** Lines of an error's text that a dialog shows at once. */
export function errorRows(size: Size): number {
  return Math.max(3, size.rows - 12);
}

/** Lines of the help that are seen at once. */
export function helpRows(size: Size): number {
  return Math.max(3, size.rows - 6);
}

/** Lines of a log or a preview that are seen at once. */
export function viewRows(size: Size): number {
  return Math.max(3, size.rows - 8);
}
