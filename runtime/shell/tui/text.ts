import { stripVTControlCharacters } from "node:util";
import stringWidth from "string-width";
import { isPlain } from "../../domain/index.js";

/**
 * Text from the wire made safe to print: no escape sequences, no control characters (C0, DEL, C1), nothing that changes the
 * direction of what follows. A line end or tab becomes a space.
 */
export function clean(text: string): string {
  if (isPlain(text)) return text;
  return stripVTControlCharacters(text)
    .replaceAll(/[\t\n\r]+/g, " ")
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "");
}

/** Width in terminal columns. */
export function widthOf(text: string): number {
  return isPlain(text) ? text.length : stringWidth(text);
}

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** What a reader takes for one character each. */
export function graphemesOf(text: string): string[] {
  return Array.from(graphemes.segment(text), ({ segment }) => segment);
}

/** Text of exactly `width` columns: cut with `…`, or filled with spaces. Takes text without escape sequences. */
export function fit(text: string, width: number, align: "left" | "right" = "left"): string {
  const cut = truncate(text, width);
  const fill = " ".repeat(Math.max(0, width - widthOf(cut)));
  return align === "left" ? cut + fill : fill + cut;
}

/** Text of at most `width` columns, cut with `…` where it is longer. */
export function truncate(text: string, width: number): string {
  if (width <= 0) return "";
  if (widthOf(text) <= width) return text;
  let kept = "";
  let used = 0;
  for (const { segment } of graphemes.segment(text)) {
    const segmentWidth = widthOf(segment);
    if (used + segmentWidth > width - 1) break;
    kept += segment;
    used += segmentWidth;
  }
  return `${kept}…`;
}

/** Text broken into lines of at most `width` columns, at spaces where there are any; given line ends stay. */
export function wrap(text: string, width: number): string[] {
  return text.split("\n").flatMap((paragraph) => wrapParagraph(clean(paragraph), Math.max(1, width)));
}

function wrapParagraph(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const joined = line === "" ? word : `${line} ${word}`;
    if (widthOf(joined) <= width) {
      line = joined;
      continue;
    }
    if (line !== "") lines.push(line);
    line = "";
    // A word longer than a line (a path, a fingerprint) is cut where the line ends.
    for (const { segment } of graphemes.segment(word)) {
      if (widthOf(line) + widthOf(segment) > width) {
        lines.push(line);
        line = "";
      }
      line += segment;
    }
  }
  return [...lines, line];
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** `1.5 GiB`, `512 MiB`: three digits at most, for people. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 9.95 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit] ?? ""}`;
}

/** `5.2 cores`. */
export function coresText(cores: number): string {
  const text = cores < 9.95 ? cores.toFixed(1) : String(Math.round(cores));
  return `${text} core${text === "1.0" ? "" : "s"}`;
}
