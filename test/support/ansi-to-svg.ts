import xterm from "@xterm/headless";
import stringWidth from "string-width";

const THEMES = {
  dark: {
    background: "#16181d",
    foreground: "#d4d7dd",
    palette:
      "#2e333d #e06c75 #8cc570 #e0b96a #6cabf0 #cf86e0 #5cc0cc #c8ccd4 #6b7280 #ff8a92 #a8e08c #ffd98a #8fc3ff #e6a8f5 #80dce6 #ffffff",
  },
  light: {
    background: "#fdfdfb",
    foreground: "#2b2f36",
    palette:
      "#2b2f36 #c0303c #2f8a2f #9a6a00 #1f6fc4 #a033b3 #0f8593 #8a8f98 #6b7280 #d84a55 #3fa33f #b07d00 #3a86da #b54cc8 #1f9daa #d0d3d8",
  },
} as const;

const FONT_PX = 14;
const CELL_WIDTH = 8.43;
const CELL_HEIGHT = 17;
const PADDING = 12;

export interface SvgOptions {
  cols: number;
  rows: number;
  theme?: keyof typeof THEMES;
}

interface Look {
  color: string;
  background: string | null;
  bold: boolean;
  dim: boolean;
  underline: boolean;
}

/**
 * A terminal's screen as a picture: ANSI text, as `tmux capture-pane -e -p` prints it, in; SVG out. Each run of cells is put
 * at its column and stretched to its width, so that the picture is aligned whatever font shows it.
 */
export async function ansiToSvg(ansi: string, { cols, rows, theme = "dark" }: SvgOptions): Promise<string> {
  const terminal = new xterm.Terminal({ cols, rows, allowProposedApi: true, convertEol: true, scrollback: 0 });
  terminal.unicode.register(TODAYS_WIDTHS);
  terminal.unicode.activeVersion = TODAYS_WIDTHS.version;
  await new Promise<void>((resolve) => terminal.write(ansi.replace(/\n$/, ""), resolve));
  const colors = THEMES[theme];
  const width = Math.ceil(cols * CELL_WIDTH + 2 * PADDING);
  const height = rows * CELL_HEIGHT + 2 * PADDING;
  const shapes: string[] = [];
  for (let row = 0; row < rows; row += 1)
    for (const run of runsOf(terminal, row, theme)) shapes.push(...shapesOf(run, row, colors.background));
  terminal.dispose();
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
      `font-family="'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="${FONT_PX}">`,
    `<rect width="100%" height="100%" rx="8" fill="${colors.background}"/>`,
    ...shapes,
    "</svg>",
    "",
  ].join("\n");
}

/** xterm's own widths are of Unicode 6, which has few emoji; terminals of today give those two columns. */
const TODAYS_WIDTHS: xterm.IUnicodeVersionProvider = {
  version: "today",
  wcwidth: (codepoint) => stringWidth(String.fromCodePoint(codepoint)) as 0 | 1 | 2,
  // What has no width belongs to the cell before. The bits are xterm's: a state (none here), the width, whether it joins.
  charProperties: (codepoint, preceding) => {
    const width = TODAYS_WIDTHS.wcwidth(codepoint);
    const joins = width === 0 && preceding !== 0;
    return ((joins ? (preceding >> 1) & 3 : width) << 1) | (joins ? 1 : 0);
  },
};

interface Run {
  column: number;
  cells: number;
  wide: boolean;
  text: string;
  look: Look;
}

/** Neighbouring cells of one look, as one run; a wide character is a run of its own. */
function runsOf(terminal: xterm.Terminal, row: number, theme: keyof typeof THEMES): Run[] {
  const line = terminal.buffer.active.getLine(terminal.buffer.active.baseY + row);
  const runs: Run[] = [];
  for (let column = 0; line && column < terminal.cols; column += 1) {
    const cell = line.getCell(column);
    if (!cell || cell.getWidth() === 0) continue;
    const text = cell.getChars() || " ";
    const look = lookOf(cell, theme);
    const last = runs.at(-1);
    const wide = cell.getWidth() > 1;
    if (last && !wide && !last.wide && sameLook(last.look, look)) {
      last.text += text;
      last.cells += 1;
    } else runs.push({ column, cells: cell.getWidth(), wide, text, look });
  }
  return runs;
}

function lookOf(cell: xterm.IBufferCell, theme: keyof typeof THEMES): Look {
  const { palette, foreground, background } = THEMES[theme];
  const named = palette.split(" ");
  const colour = (isDefault: boolean, isPalette: boolean, value: number): string | null =>
    isDefault ? null : isPalette ? (named[value] ?? cube(value)) : `#${value.toString(16).padStart(6, "0")}`;
  const fg = colour(cell.isFgDefault(), cell.isFgPalette(), cell.getFgColor());
  const bg = colour(cell.isBgDefault(), cell.isBgPalette(), cell.getBgColor());
  const inverse = cell.isInverse() !== 0;
  return {
    color: inverse ? (bg ?? background) : (fg ?? foreground),
    background: inverse ? (fg ?? foreground) : bg,
    bold: cell.isBold() !== 0,
    dim: cell.isDim() !== 0,
    underline: cell.isUnderline() !== 0,
  };
}

/** Colours 16 to 255 of the 256: a 6x6x6 cube, then 24 greys (xterm's values). */
function cube(value: number): string {
  const level = (index: number): number => (index === 0 ? 0 : 55 + index * 40);
  const parts =
    value >= 232
      ? [0, 0, 0].map(() => 8 + (value - 232) * 10)
      : [Math.floor((value - 16) / 36), Math.floor((value - 16) / 6) % 6, (value - 16) % 6].map(level);
  return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

function sameLook(a: Look, b: Look): boolean {
  return (
    a.color === b.color &&
    a.background === b.background &&
    a.bold === b.bold &&
    a.dim === b.dim &&
    a.underline === b.underline
  );
}

function shapesOf({ column, cells, text, look }: Run, row: number, screen: string): string[] {
  const x = (PADDING + column * CELL_WIDTH).toFixed(1);
  const y = PADDING + row * CELL_HEIGHT;
  const width = (cells * CELL_WIDTH).toFixed(1);
  const opacity = look.dim ? ' opacity="0.6"' : "";
  const shapes: string[] = [];
  if (look.background !== null && look.background !== screen)
    shapes.push(`<rect x="${x}" y="${y}" width="${width}" height="${CELL_HEIGHT}" fill="${look.background}"/>`);
  if (look.underline)
    shapes.push(
      `<rect x="${x}" y="${y + CELL_HEIGHT - 2}" width="${width}" height="1" fill="${look.color}"${opacity}/>`,
    );
  if (text.trim() !== "")
    shapes.push(
      `<text x="${x}" y="${y + 13}" textLength="${width}" lengthAdjust="spacingAndGlyphs" xml:space="preserve" ` +
        `fill="${look.color}"${look.bold ? ' font-weight="bold"' : ""}${opacity}>${escapeXml(text)}</text>`,
    );
  return shapes;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
