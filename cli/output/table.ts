import { isPlain } from "../../runtime/domain/index.js";
import { clean } from "./text.js";

export interface Column {
  title: string;
  /** May be cut to as few as so many columns, with an ellipsis, when the table is too wide; never cut when left out. */
  shrinkTo?: number;
}

const GAP = 2;

/**
 * Rows as lines, columns aligned by what a terminal shows (wide characters count two), cut to `width` columns when the
 * widest of the columns that may shrink give enough.
 */
export async function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | null,
): Promise<string[]> {
  const cells = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((_, at) => clean(row[at] ?? ""))),
  ];
  const widthOf = await widthFor(cells);
  const widths = columns.map((_, at) => cells.reduce((most, row) => Math.max(most, widthOf(row[at] ?? "")), 0));
  if (width !== null) shrink(columns, widths, width);
  return cells.map((row) =>
    row
      .map((cell, at) => fit(cell, widths[at] ?? 0, widthOf))
      .join(" ".repeat(GAP))
      .trimEnd(),
  );
}

type WidthOf = (text: string) => number;

/** Columns of a terminal that a text takes. Emoji tables take longer to load than most lists to print, so ASCII does without. */
async function widthFor(cells: readonly (readonly string[])[]): Promise<WidthOf> {
  const plain = cells.every((row) => row.every(isPlain));
  if (!plain) return (await import("string-width")).default;
  return (text) => text.length;
}

/** Takes a column at a time from the widest that may still shrink, so that no short one pays for a long one. */
function shrink(columns: readonly Column[], widths: number[], width: number): void {
  const total = (): number => widths.reduce((sum, each) => sum + each, 0) + GAP * (widths.length - 1);
  while (total() > width) {
    const candidates = columns.flatMap(({ shrinkTo }, at) =>
      shrinkTo !== undefined && (widths[at] ?? 0) > shrinkTo ? [at] : [],
    );
    const widest = candidates.sort((a, b) => (widths[b] ?? 0) - (widths[a] ?? 0))[0];
    if (widest === undefined) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

function fit(text: string, width: number, widthOf: WidthOf): string {
  const full = widthOf(text);
  if (full <= width) return text.padEnd(text.length + width - full);
  let cut = "";
  let used = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    const next = widthOf(segment);
    if (used + next > width - 1) break;
    cut += segment;
    used += next;
  }
  return `${cut}…${" ".repeat(Math.max(0, width - used - 1))}`;
}
