import xterm, { type IBufferCell } from "@xterm/headless";

/** One cell of a screen. */
export interface Cell {
  /** What stands in it; a space where nothing does. */
  text: string;
  inverse: boolean;
  /** The control sequence (SGR) that sets its colours and attributes, inverse left out. */
  style: string;
}

/** A place on a screen, from 0. */
export interface Place {
  row: number;
  col: number;
}

/** What a terminal shows that got the session's output and nothing else. */
export class ScreenModel implements Disposable {
  readonly #terminal: InstanceType<typeof xterm.Terminal>;
  readonly #sequences = new Sequences();
  #cursorHidden = false;

  constructor(size: { cols: number; rows: number }) {
    this.#terminal = new xterm.Terminal({ ...size, scrollback: 0, allowProposedApi: true });
    // False hands the sequence on to the terminal.
    const cursor = (hidden: boolean) => (modes: (number | number[])[]) => {
      if (modes.includes(25)) this.#cursorHidden = hidden;
      return false;
    };
    this.#terminal.parser.registerCsiHandler({ prefix: "?", final: "h" }, cursor(false));
    this.#terminal.parser.registerCsiHandler({ prefix: "?", final: "l" }, cursor(true));
  }

  /** Resolves once the screen shows it. */
  async write(data: Buffer): Promise<void> {
    this.#sequences.observe(data);
    await new Promise<void>((resolve) => this.#terminal.write(data, resolve));
  }

  resize({ cols, rows }: { cols: number; rows: number }): void {
    this.#terminal.resize(cols, rows);
  }

  get cols(): number {
    return this.#terminal.cols;
  }

  /** Whether the output so far ends between two characters, so that something may be written behind it. */
  get whole(): boolean {
    return this.#sequences.whole;
  }

  /**
   * Where the next character will be typed: the cursor; a hidden one where a program draws its own there, an inverse cell, as
   * the Claude CLI does. Null while neither is so, as in the middle of a redraw.
   */
  get cursor(): (Place & { drawn: boolean }) | null {
    const { cursorX: col, cursorY: row } = this.#terminal.buffer.active;
    const drawn = this.cell({ row, col }).inverse;
    return this.#cursorHidden && !drawn ? null : { row, col, drawn: this.#cursorHidden };
  }

  cell({ row, col }: Place): Cell {
    const { active } = this.#terminal.buffer;
    const cell = active.getLine(active.baseY + row)?.getCell(col);
    if (!cell) return { text: " ", inverse: false, style: "\x1b[m" };
    return { text: cell.getChars() || " ", inverse: cell.isInverse() !== 0, style: styleOf(cell) };
  }

  [Symbol.dispose](): void {
    this.#terminal.dispose();
  }
}

function styleOf(cell: IBufferCell): string {
  const codes = [0];
  if (cell.isBold()) codes.push(1);
  if (cell.isDim()) codes.push(2);
  if (cell.isItalic()) codes.push(3);
  if (cell.isUnderline()) codes.push(4);
  if (cell.isBlink()) codes.push(5);
  if (cell.isInvisible()) codes.push(8);
  if (cell.isStrikethrough()) codes.push(9);
  if (cell.isFgPalette()) codes.push(38, 5, cell.getFgColor());
  if (cell.isFgRGB()) codes.push(38, 2, ...rgb(cell.getFgColor()));
  if (cell.isBgPalette()) codes.push(48, 5, cell.getBgColor());
  if (cell.isBgRGB()) codes.push(48, 2, ...rgb(cell.getBgColor()));
  return `\x1b[${codes.join(";")}m`;
}

const rgb = (color: number): number[] => [(color >> 16) & 255, (color >> 8) & 255, color & 255];

const ESC = 0x1b;
const BEL = 0x07;

/** Follows the shape of terminal output (ECMA-48 and UTF-8), to tell whether it ends in the middle of something. */
class Sequences {
  #in: "text" | "escape" | "control" | "string" = "text";
  /** Bytes that a character of several still lacks. */
  #missing = 0;

  get whole(): boolean {
    return this.#in === "text" && this.#missing === 0;
  }

  observe(data: Buffer): void {
    for (const byte of data) this.#one(byte);
  }

  #one(byte: number): void {
    // CAN and SUB end everything, ESC begins anew: in a string it begins its end, `ESC \`.
    if (byte === ESC || byte === 0x18 || byte === 0x1a) {
      this.#in = byte === ESC ? "escape" : "text";
      this.#missing = 0;
    } else if (this.#in === "text") {
      if (byte >= 0xf0) this.#missing = 3;
      else if (byte >= 0xe0) this.#missing = 2;
      else if (byte >= 0xc0) this.#missing = 1;
      else this.#missing = byte >= 0x80 ? Math.max(0, this.#missing - 1) : 0;
    } else if (this.#in === "escape") {
      if (byte === 0x5b) this.#in = "control";
      // OSC, DCS, SOS, PM, APC.
      else if ([0x5d, 0x50, 0x58, 0x5e, 0x5f].includes(byte)) this.#in = "string";
      // 0x20 to 0x2f lie between, as in `ESC ( B`.
      else if (byte >= 0x30) this.#in = "text";
    } else if (this.#in === "control") {
      if (byte >= 0x40) this.#in = "text";
    } else if (byte === BEL) this.#in = "text";
  }
}
