import { renderToString } from "ink";
import { loadavg } from "node:os";
import type { AgentView, SessionView } from "../../cluster.js";
import { reduce } from "../model/reduce.js";
import { initialState, type State } from "../model/state.js";
import { painter } from "./paint.js";
import { Screen } from "./screen.js";

/** What one drawn frame shows: a `Cluster`'s answers, and the moment they are from. */
export interface FrameSource {
  clusterName: string;
  sessions: readonly SessionView[];
  agents: readonly AgentView[];
  /** Milliseconds since the epoch; the clock's and the ages' now. Default: now. */
  nowMs?: number;
  /** Load average to show; default: this machine's. */
  load?: readonly number[];
}

/**
 * One frame of the TUI as text, drawn by the same components: for a pipe, a picture, a test. `color: false` leaves out every
 * escape sequence. Lines end without trailing spaces where nothing is painted; there is no line end after the last.
 */
export function drawFrame(source: FrameSource, size: { cols: number; rows: number; color: boolean }): string {
  const start = initialState({
    clusterName: source.clusterName,
    size: { cols: size.cols, rows: size.rows },
    nowMs: source.nowMs ?? Date.now(),
    load: source.load ?? loadavg(),
  });
  const listed = reduce(start, { type: "cluster", sessions: source.sessions, agents: source.agents }).state;
  return drawState(reduce(listed, { type: "loaded" }).state, size.color);
}

/** Any state as text. */
export function drawState(state: State, color: boolean): string {
  return renderToString(<Screen state={state} paint={painter(color ? "color" : "plain")} />, {
    columns: state.size.cols,
  });
}
