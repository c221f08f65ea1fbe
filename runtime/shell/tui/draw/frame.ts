import { loadavg } from "node:os";
import type { AgentId, Capacity } from "../../../domain/index.js";
import type { AgentView, SessionView } from "../../cluster.js";
import { reduce } from "../model/reduce.js";
import { initialState, type Action, type State } from "../model/state.js";
import type { Line } from "./line.js";
import { painter, showsOnSpace, type ColorMode } from "./paint.js";
import { screenOf } from "./screen.js";

/** What one drawn frame shows: a `Cluster`'s answers, and the moment they are from. */
export interface FrameSource {
  clusterName: string;
  sessions: readonly SessionView[];
  agents: readonly AgentView[];
  /** What each agent has, for the bars; one that is left out has none. */
  capacities?: ReadonlyMap<AgentId, Capacity>;
  /** Milliseconds since the epoch; the clock's and the ages' now. Default: now. */
  nowMs?: number;
  /** Load average to show; default: this machine's. */
  load?: readonly number[];
}

/**
 * One frame of the TUI as text, drawn as the TUI draws it: for a pipe, a picture, a test. `color: false` leaves out every
 * escape sequence. Lines end without trailing spaces where nothing is painted; there is no line end after the last.
 */
export function drawFrame(source: FrameSource, size: { cols: number; rows: number; color: boolean }): string {
  let state = initialState({
    clusterName: source.clusterName,
    size: { cols: size.cols, rows: size.rows },
    nowMs: source.nowMs ?? Date.now(),
    load: source.load ?? loadavg(),
  });
  const actions: Action[] = [
    { type: "cluster", sessions: source.sessions, agents: source.agents },
    ...[...(source.capacities ?? [])].map(([agent, capacity]): Action => ({ type: "capacity", agent, capacity })),
    { type: "loaded" },
  ];
  for (const action of actions) state = reduce(state, action).state;
  return drawState(state, size.color);
}

/** Any state as text. */
export function drawState(state: State, color: boolean): string {
  return textOf(screenOf(state), color ? "color" : "plain");
}

function textOf(lines: readonly Line[], mode: ColorMode): string {
  const paint = painter(mode);
  // Whether a style shows on spaces.
  const inked = ([text, style]: Line[number]): boolean =>
    text.trim() !== "" || (mode !== "plain" && showsOnSpace(style));
  return lines
    .map((spans) => {
      const last = spans.findLastIndex(inked);
      return spans
        .slice(0, last + 1)
        .map(([text, style]) => (style ? paint(style, text) : text))
        .join("")
        .replace(mode === "plain" ? / +$/ : /(?!)/, "");
    })
    .join("\n");
}
