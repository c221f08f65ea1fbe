import type { Key } from "../model/keys.js";
import { clean, graphemesOf, truncate, widthOf } from "../text.js";
import type { Style } from "./paint.js";

/** A piece of a line: text, what it means, and the key that a click on it stands for. */
export type Span = readonly [text: string, style?: Style | undefined, key?: Key];
/** One screen line, or a part of one. */
export type Line = readonly Span[];

/** One screen line of exactly `width` columns: spans in order, cut where they do not fit, filled with spaces. */
export function line(spans: Line, width: number): Span[] {
  let left = width;
  const out: Span[] = [];
  for (const [raw, ...meaning] of spans) {
    if (left <= 0) break;
    const text = truncate(clean(raw), left);
    left -= widthOf(text);
    if (text !== "") out.push([text, ...meaning]);
  }
  if (left > 0) out.push([" ".repeat(left)]);
  return out;
}

export function spansWidth(spans: Line): number {
  return spans.reduce((sum, [text]) => sum + widthOf(clean(text)), 0);
}

/** A line with one group at each end; the left one is cut first when both do not fit. */
export function ends(left: Line, right: Line, width: number): Span[] {
  const rightWidth = Math.min(width, spansWidth(right));
  return [...line(left, width - rightWidth), ...line(right, rightWidth)];
}

/** Columns `from` to `to` of a line; half of a wide character is a space. */
export function slice(spans: Line, from: number, to: number): Span[] {
  const out: Span[] = [];
  let column = 0;
  for (const [text, ...meaning] of spans) {
    const width = widthOf(text);
    const start = column;
    column += width;
    if (column <= from || start >= to) continue;
    const part =
      start >= from && column <= to ? text : sliceText(text, Math.max(0, from - start), Math.min(width, to - start));
    out.push([part, ...meaning]);
  }
  return out;
}

function sliceText(text: string, from: number, to: number): string {
  if (widthOf(text) === text.length) return text.slice(from, to);
  let out = "";
  let column = 0;
  for (const segment of graphemesOf(text)) {
    const width = widthOf(segment);
    const seen = Math.min(column + width, to) - Math.max(column, from);
    out += seen === width ? segment : " ".repeat(Math.max(0, seen));
    column += width;
  }
  return out;
}

/** The span at a column. */
export function spanAt(spans: Line, x: number): Span | undefined {
  let column = 0;
  for (const span of spans) {
    column += widthOf(span[0]);
    if (x < column) return span;
  }
  return undefined;
}
