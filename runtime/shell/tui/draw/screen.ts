import { isTooSmall } from "../model/layout.js";
import { MIN_SIZE, type State } from "../model/state.js";
import { agentLines, keyLine, ruleLine, statusLine, titleLine } from "./chrome.js";
import { dialogPanel } from "./dialog.js";
import { wrap } from "../text.js";
import { line, slice, spansWidth, type Line } from "./line.js";
import { headLine, tableLines } from "./table.js";

/** The whole screen, a pure function of the state: as many lines as the terminal has rows, each as wide as it is. */
export function screenOf(state: State): Line[] {
  const { cols, rows } = state.size;
  if (isTooSmall(state.size)) return tooSmall(state);
  const lines: Line[] = [
    titleLine(state),
    headLine(state),
    ...tableLines(state),
    ruleLine(state),
    ...agentLines(state),
    statusLine(state),
    keyLine(state),
  ];
  const panel = dialogPanel(state);
  for (const [index, inner] of (panel?.lines ?? []).entries()) {
    const row = (panel?.top ?? 0) + index;
    const left = panel?.left ?? 0;
    const below = lines[row];
    if (!below) continue;
    const right = left + spansWidth(inner);
    lines[row] = [...slice(below, 0, left), ...inner, ...slice(below, right, cols)];
  }
  return lines.slice(0, rows);
}

function tooSmall({ size }: State): Line[] {
  const text = wrap(
    `convocate needs ${MIN_SIZE.cols}x${MIN_SIZE.rows}; this terminal is ${size.cols}x${size.rows}. Make it larger, or Q to quit.`,
    size.cols,
  );
  return Array.from({ length: size.rows }, (_, row) => line([[text[row] ?? ""]], size.cols));
}
