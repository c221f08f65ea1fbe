import { sgr, showsOnSpace, type ColorMode, type Style } from "../draw/paint.js";
import type { Line } from "../draw/line.js";
import { graphemesOf, widthOf } from "../text.js";

/** One column of the terminal; the second column of a wide character has no text. */
interface Cell {
  text: string;
  style: Style | undefined;
}

interface Row {
  cells: readonly Cell[];
  /** Whether every terminal gives each character the same width: one column. */
  certain: boolean;
}

const SPACE: Cell = { text: " ", style: undefined };
const EMPTY_ROW: Row = { cells: [], certain: true };
/** The terminal shows what is between the two at once (mode 2026); one that does not know them ignores them. */
const BEGIN = "\u001b[?2026h";
const END = "\u001b[?2026l";
/** Unchanged columns that are written again rather than jumped over: a jump costs about as much. */
const SHORT_GAP = 4;

/**
 * Writes to the terminal only the cells that changed since the last frame. Ink's own output compares lines from their first
 * change on and lays the screen out anew each time: at 200x60 a page costs it 14 ms and 13 KB.
 */
export class Painter {
  readonly #sgr: (from: Style | undefined, to: Style | undefined) => string;
  #lines: readonly Line[] | null = null;
  #rows: Row[] = [];

  constructor(mode: ColorMode) {
    this.#sgr = sgr(mode);
  }

  /** Forgets what is on the screen: the next frame is written whole. For a terminal that somebody else wrote to. */
  forget(): void {
    this.#lines = null;
  }

  /** What to write so that the terminal shows these lines; nothing when it does already. */
  paint(lines: readonly Line[]): string {
    const before = this.#lines;
    const whole = before?.length !== lines.length;
    if (whole) this.#rows = lines.map(() => EMPTY_ROW);
    let out = "";
    for (const [index, spans] of lines.entries()) {
      if (!whole && sameLine(before[index], spans)) continue;
      const row = rowOf(spans);
      out += this.#paintRow(index, this.#rows[index] ?? EMPTY_ROW, row);
      this.#rows[index] = row;
    }
    this.#lines = lines;
    if (out === "" && !whole) return "";
    return `${BEGIN}${whole ? "\u001b[?25l\u001b[m\u001b[2J" : ""}${out}${END}`;
  }

  #paintRow(index: number, before: Row, row: Row): string {
    if (!before.certain || !row.certain) return this.#paintUncertain(index, row);
    const { cells } = row;
    const end = lastInked(cells);
    let out = "";
    let cursor: number | null = null;
    for (let column = 0; column < cells.length;) {
      if (sameCell(before.cells[column] ?? SPACE, cells[column])) {
        column += 1;
        continue;
      }
      out += cursor === null ? moveTo(index, column) : forward(column - cursor);
      // The rest of the line is empty now: one short sequence empties it.
      if (column > end) return `${out}\u001b[K`;
      const to = runFrom(before.cells, cells, column, end);
      out += this.#write(cells.slice(column, to));
      column = cursor = to;
    }
    return out;
  }

  /** A line with characters that terminals differ on: all of it, and after each of those the place is said anew. */
  #paintUncertain(index: number, { cells }: Row): string {
    let out = `${moveTo(index, 0)}\u001b[K`;
    const end = lastInked(cells) + 1;
    let from = 0;
    for (let column = 0; column < end; column += 1) {
      if (isCertain(cells[column]?.text ?? "")) continue;
      let next = column + 1;
      while (cells[next]?.text === "") next += 1;
      out += this.#write(cells.slice(from, next)) + moveTo(index, next);
      from = next;
    }
    return `${out}${this.#write(cells.slice(from, end))}\u001b[K`;
  }

  #write(cells: readonly Cell[]): string {
    let out = "";
    let style: Style | undefined;
    for (const cell of cells) {
      // A space needs no change of style where neither shows on it.
      if (cell.text !== " " || !plainBlank(cell) || !plainBlank({ style })) {
        out += this.#sgr(style, cell.style);
        ({ style } = cell);
      }
      out += cell.text;
    }
    return out + this.#sgr(style, undefined);
  }
}

/** Where a run of changed cells ends: short stretches of unchanged ones are in it. */
function runFrom(before: readonly Cell[], cells: readonly Cell[], from: number, end: number): number {
  let to = from + 1;
  for (let column = from; column <= end; column += 1) {
    if (!sameCell(before[column] ?? SPACE, cells[column])) to = column + 1;
    else if (column - to >= SHORT_GAP) break;
  }
  return to;
}

function forward(columns: number): string {
  return columns === 0 ? "" : `\u001b[${columns === 1 ? "" : columns}C`;
}

function moveTo(row: number, column: number): string {
  return `\u001b[${row + 1};${column + 1}H`;
}

function sameLine(a: Line | undefined, b: Line): boolean {
  if (a === b) return true;
  return a?.length === b.length && a.every(([text, style], index) => text === b[index]?.[0] && style === b[index][1]);
}

function sameCell(a: Cell, b: Cell | undefined): boolean {
  return (
    b !== undefined && a.text === b.text && (a.style === b.style || (a.text === " " && plainBlank(a) && plainBlank(b)))
  );
}

/** A space looks the same in every style but those that paint what is behind or below it. */
function plainBlank({ style }: Pick<Cell, "style">): boolean {
  return !showsOnSpace(style);
}

function lastInked(cells: readonly Cell[]): number {
  return cells.findLastIndex((cell) => cell.text !== " " || !plainBlank(cell));
}

/** ASCII, lines and blocks: what nearly all of the screen is made of. */
const CERTAIN = /^[\u0020-\u007e\u00b7\u2026\u2190-\u2193\u2500-\u259f\u25cb\u25cc\u25cf\u25d0\u2022\u2039\u203a]*$/;

function isCertain(text: string): boolean {
  return CERTAIN.test(text);
}

function rowOf(spans: Line): Row {
  const cells: Cell[] = [];
  let certain = true;
  for (const [text, style] of spans) {
    if (isCertain(text)) {
      for (const char of text) cells.push({ text: char, style });
      continue;
    }
    certain = false;
    for (const segment of graphemesOf(text)) {
      const width = widthOf(segment);
      if (width === 0) continue;
      cells.push({ text: segment, style });
      for (let more = 1; more < width; more += 1) cells.push({ text: "", style });
    }
  }
  return { cells, certain };
}
