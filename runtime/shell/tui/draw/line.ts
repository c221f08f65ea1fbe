import { clean, truncate, widthOf } from "../text.js";
import type { Paint, Style } from "./paint.js";

/** A piece of a line: text with a meaning, or without one. */
export type Span = readonly [text: string, style?: Style];

/** One screen line of exactly `width` columns: spans in order, cut where they do not fit, filled with spaces. */
export function line(spans: readonly Span[], width: number, paint: Paint): string {
  let left = width;
  let out = "";
  for (const [raw, style] of spans) {
    if (left <= 0) break;
    const text = truncate(clean(raw), left);
    left -= widthOf(text);
    out += style ? paint(style, text) : text;
  }
  return out + " ".repeat(Math.max(0, left));
}

export function spansWidth(spans: readonly Span[]): number {
  return spans.reduce((sum, [text]) => sum + widthOf(clean(text)), 0);
}

/** A line with one group at each end; the left one is cut first when both do not fit. */
export function ends(left: readonly Span[], right: readonly Span[], width: number, paint: Paint): string {
  const rightWidth = Math.min(width, spansWidth(right));
  return line(left, width - rightWidth, paint) + line(right, rightWidth, paint);
}
