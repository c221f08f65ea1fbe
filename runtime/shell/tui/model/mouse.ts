/** What the mouse did; columns and rows count from 0. */
export type Mouse =
  | { kind: "click"; x: number; y: number }
  /** The wheel: one notch. */
  | { kind: "scroll"; by: 1 | -1; x: number; y: number };

/** Turns reports on and off: buttons and wheel (1000), in the form without limits on columns (1006). */
export const MOUSE_ON = "\u001b[?1000h\u001b[?1006h";
export const MOUSE_OFF = "\u001b[?1006l\u001b[?1000l";

const REPORT = /\u001b\[<(\d{1,4});(\d{1,5});(\d{1,5})([Mm])/g;
const UNFINISHED = /\u001b(?:\[(?:<[\d;]{0,20})?)?$/;

/**
 * Takes mouse reports out of what a terminal sent. Only presses of the left button and the wheel mean something; the
 * rest is taken out all the same, since it is nothing typed. A report may be cut in two: `rest` is to be put in front of
 * what comes next, unless nothing comes soon.
 */
export function takeMouse(data: string): { events: Mouse[]; text: string; rest: string } {
  const events: Mouse[] = [];
  const without = data.replaceAll(REPORT, (_all, button: string, column: string, row: string, end: string) => {
    const at = { x: Number(column) - 1, y: Number(row) - 1 };
    if (end === "M" && button === "0") events.push({ kind: "click", ...at });
    if (end === "M" && button === "64") events.push({ kind: "scroll", by: -1, ...at });
    if (end === "M" && button === "65") events.push({ kind: "scroll", by: 1, ...at });
    return "";
  });
  const unfinished = UNFINISHED.exec(without)?.[0] ?? "";
  // A lone Escape is a key, and is not held back: only what can be nothing but a report is.
  const rest = unfinished.length > 2 ? unfinished : "";
  return { events, text: without.slice(0, without.length - rest.length), rest };
}
