import { widthOf } from "../text.js";
import type { AgentRow } from "./snapshot.js";
import { MIN_SIZE, type Size, type State } from "./state.js";

/** How the screen's lines are shared out: title, column heads, table, rule, agents, status line, keys. */
export interface Layout {
  tableRows: number;
  agentLines: number;
  agentsPerLine: number;
  /** Columns of each part of an agent's cell in the strip: as wide as the widest agent needs. */
  agentCell: AgentCell;
}

export interface AgentCell {
  name: number;
  state: number;
  sessions: number;
  release: number;
}

/** Lines that are always there: title, heads, rule, status, keys. */
const CHROME_LINES = 5;
/** In a cell: the mark and a space, two gaps of two, and what parts it from the next one. */
export const AGENT_CELL_GAPS = 2 + 3 * 2 + 3;

export function layoutOf(state: Pick<State, "size" | "snapshot">): Layout {
  const { cols, rows } = state.size;
  const { agents } = state.snapshot;
  const widest = (text: (agent: AgentRow) => string, most: number): number =>
    Math.min(most, Math.max(1, ...agents.map((agent) => widthOf(text(agent)))));
  const agentCell = {
    name: widest((agent) => agent.view.name, 16),
    state: widest((agent) => agent.state, 10),
    sessions: widest(sessionsText, 14),
    release: widest((agent) => agent.view.release ?? "", 20),
  };
  const cellWidth = Object.values(agentCell).reduce((sum, part) => sum + part, AGENT_CELL_GAPS);
  // The last cell of a line needs no gap after it.
  const agentsPerLine = Math.max(1, Math.floor((cols - 2 + 3) / cellWidth));
  const mostLines = rows < 50 ? 3 : 5;
  const agentLines = Math.max(1, Math.min(mostLines, Math.ceil(agents.length / agentsPerLine)));
  return { tableRows: Math.max(1, rows - CHROME_LINES - agentLines), agentLines, agentsPerLine, agentCell };
}

/** `3 sessions`. */
export function sessionsText({ sessions }: AgentRow): string {
  return `${sessions} session${sessions === 1 ? "" : "s"}`;
}

export function isTooSmall(size: Size): boolean {
  return size.cols < MIN_SIZE.cols || size.rows < MIN_SIZE.rows;
}

/** Inner width of a dialog, in columns. */
export function dialogWidth(size: Size): number {
  return Math.max(20, Math.min(68, size.cols - 8));
}

/** Lines of an error's text that a dialog shows at once. */
export function errorRows(size: Size): number {
  return Math.max(3, size.rows - 12);
}
