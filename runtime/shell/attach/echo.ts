import stringWidth from "string-width";
import { ScreenModel, type Place } from "./screen-model.js";

/** How long the session may take to show a key that it was given; then it is taken for one that it does not show. */
const PATIENCE_MS = 1000;
/** Keys on their way at a time; who sends more does not type. */
const MOST_KEYS = 256;
/** Longer pieces of input are pasted, not typed. */
const LONGEST_TYPED_BYTES = 32;

/** A key on its way. `end` is its last byte's place in the stream of all input. */
interface Key {
  end: number;
  /** A character, one less (backspace), or whatever else: nobody can tell what the session makes of that. */
  does: "show" | "erase" | "other";
  text: string;
  /** When the agent had it, in the monotonic clock's milliseconds; null before. */
  takenAtMs: number | null;
}

/** Control sequences: what puts keys on the screen, the terminal's state kept, and what takes them away and gives it back. */
interface Drawing {
  draw: string;
  undo: string;
}

const NOTHING: Drawing = { draw: "", undo: "" };

/**
 * Shows typed characters before the session does, on a connection that is slow; the idea is mosh's (Winstein and
 * Balakrishnan, "Mosh: An Interactive Remote Shell for Mobile Clients", USENIX ATC 2012).
 *
 * Keys wait in a row from when they are typed until the session's screen shows what they do. Only while it was seen to show
 * what is typed as it is (nobody's password, no command of an editor) are the waiting ones drawn at the cursor, over blanks. Before
 * anything of the session reaches the terminal, the drawn is taken away again: what the session draws is never drawn upon.
 */
export class Echo implements Disposable {
  readonly #model: ScreenModel;
  readonly #write: (sequence: string) => void;
  readonly #timer: NodeJS.Timeout;
  #keys: Key[] = [];
  #taken = 0;
  /** The cursor when the row was last compared with the screen. */
  #cursor: Place | null = null;
  #trusted = false;
  /** So many characters before the cursor were seen to come from keys: these can be erased. */
  #erasable = 0;
  #drawn = NOTHING;
  #parsing = false;

  /** `write` puts a control sequence on the terminal at once. */
  constructor(size: { cols: number; rows: number }, write: (sequence: string) => void) {
    this.#model = new ScreenModel(size);
    this.#write = write;
    this.#timer = setInterval(() => this.#refresh(), PATIENCE_MS / 4).unref();
  }

  /** What the terminal shall get for this output of the session. One at a time. */
  async output(data: Buffer): Promise<Buffer> {
    this.#parsing = true;
    await this.#model.write(data);
    this.#parsing = false;
    this.#compare();
    const before = this.#drawn;
    this.#drawn = this.#drawing();
    if (before === NOTHING && this.#drawn === NOTHING) return data;
    return Buffer.concat([Buffer.from(before.undo), data, Buffer.from(this.#drawn.draw)]);
  }

  /** These bytes were typed and sent; `end` is the place of the last one in the stream. */
  typed(chunk: Buffer, end: number): void {
    const keys = keysOf(chunk, end);
    this.#keys.push(...keys);
    if (this.#keys.length > MOST_KEYS) this.#forget();
    this.#refresh();
  }

  /** The agent gave the session all input up to this place. What the session made of it comes with or after this. */
  taken(offset: number): void {
    this.#taken = offset;
    for (const key of this.#keys) if (key.end <= offset) key.takenAtMs ??= performance.now();
  }

  resize(size: { cols: number; rows: number }): void {
    this.hide();
    this.#model.resize(size);
    this.#forget();
  }

  /** Takes away what is drawn. */
  hide(): void {
    if (this.#drawn !== NOTHING) this.#write(this.#drawn.undo);
    this.#drawn = NOTHING;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.hide();
    this.#model[Symbol.dispose]();
  }

  /** Draws what is due now, if the terminal has all that the model has. */
  #refresh(): void {
    if (this.#parsing) return;
    this.#compare();
    const before = this.#drawn;
    const now = this.#drawing();
    if (now.draw === before.draw) return;
    this.#drawn = now;
    this.#write(before.undo + now.draw);
  }

  #forget(): void {
    this.#keys = [];
    this.#cursor = null;
    this.#distrust();
  }

  #distrust(): void {
    this.#trusted = false;
    this.#erasable = 0;
  }

  /** Takes those keys out of the row that the screen shows, and learns from it. */
  #compare(): void {
    const { cursor } = this.#model;
    if (!cursor || !this.#model.whole) return;
    const other = this.#keys.findLastIndex(({ does, end }) => does === "other" && end <= this.#taken);
    if (other >= 0) {
      this.#keys.splice(0, other + 1);
      this.#distrust();
      this.#cursor = null;
    }
    const shown = this.#cursor ? this.#shown(this.#cursor, cursor) : null;
    const late = (this.#keys[0]?.takenAtMs ?? Infinity) + PATIENCE_MS < performance.now();
    if (shown === null || (shown === 0 && late)) {
      this.#keys = this.#keys.filter(({ end }) => end > this.#taken);
      this.#distrust();
    } else if (shown > 0) {
      for (const { does } of this.#keys.splice(0, shown)) {
        this.#erasable = Math.max(0, this.#erasable + (does === "show" ? 1 : -1));
        if (does === "show") this.#trusted = true;
      }
    }
    this.#cursor = cursor;
  }

  /** How many of the waiting keys explain how the cursor came from one place to the other; null when nothing does. */
  #shown(from: Place, to: Place): number | null {
    const known = this.#keys.findIndex(({ does }) => does === "other");
    const most = known < 0 ? this.#keys.length : known;
    const taken = this.#keys.slice(0, most).filter(({ end }) => end <= this.#taken).length;
    // Those that the agent has, or fewer; more only when its word of that comes late.
    for (let count = taken; count >= 0; count -= 1) if (this.#explains(count, from, to)) return count;
    for (let count = taken + 1; count <= most; count += 1) if (this.#explains(count, from, to)) return count;
    return null;
  }

  /** The line may have been scrolled meanwhile: what counts is the column, and what stands before it. */
  #explains(count: number, from: Place, to: Place): boolean {
    const { cells, col } = effect(this.#keys.slice(0, count), from.col);
    if (col !== to.col) return false;
    return [...cells].every(([at, text]) => this.#model.cell({ row: to.row, col: at }).text === text);
  }

  /** The waiting keys, as they are to be drawn now. */
  #drawing(): Drawing {
    const { cursor } = this.#model;
    if (!this.#trusted || !cursor || !this.#model.whole || this.#keys.length === 0) return NOTHING;
    const { row } = cursor;
    const { cells, col } = effect(this.#keys.slice(0, this.#drawable(cursor)), cursor.col);
    if (cells.size === 0) return NOTHING;
    const style = this.#styleAt(cursor);
    const own = (at: number): string => {
      const { text, inverse, style: plain } = this.#model.cell({ row, col: at });
      return plain + (inverse ? "\x1b[7m" : "") + text;
    };
    let draw = "\x1b7\x0f\x1b(B";
    let undo = "\x0f\x1b(B";
    const put = (at: number, look: string): void => {
      draw += `\x1b[${row + 1};${at + 1}H${look}`;
      undo += `\x1b[${row + 1};${at + 1}H${own(at)}`;
    };
    for (const [at, text] of cells) put(at, style + text);
    if (cursor.drawn) {
      if (!cells.has(cursor.col)) put(cursor.col, `${style} `);
      put(
        col,
        `${this.#model.cell({ row, col }).style}\x1b[7m${cells.has(col) ? " " : this.#model.cell({ row, col }).text}`,
      );
    }
    return { draw: `${draw}\x1b[m\x1b[${row + 1};${col + 1}H`, undo: `${undo}\x1b8` };
  }

  /** How many of the waiting keys can be drawn: characters over blanks, and the erasing of what was typed. */
  #drawable(cursor: Place): number {
    const { row } = cursor;
    const blank = (at: number): boolean => this.#model.cell({ row, col: at }).text === " ";
    let { col } = cursor;
    let erasable = this.#erasable;
    // Whatever stands behind the cursor would be moved.
    if (!blank(col)) return 0;
    let count = 0;
    for (const { does } of this.#keys) {
      if (does === "other") break;
      // Neither the last column, where lines wrap, nor what is no blank.
      if (does === "show" && (col + 2 >= this.#model.cols || (col >= cursor.col && !blank(col + 1)))) break;
      if (does === "erase" && erasable === 0) break;
      const step = does === "show" ? 1 : -1;
      col += step;
      erasable += step;
      count += 1;
    }
    return count;
  }

  /** A new character looks like the one before it. */
  #styleAt({ row, col }: Place): string {
    const before = col > 0 ? this.#model.cell({ row, col: col - 1 }) : null;
    return before && before.text !== " " && !before.inverse ? before.style : this.#model.cell({ row, col }).style;
  }
}

/** What keys leave in which columns, and where the cursor is then. */
function effect(keys: Key[], from: number): { cells: Map<number, string>; col: number } {
  const cells = new Map<number, string>();
  let col = from;
  for (const { does, text } of keys) {
    if (does === "show") cells.set(col++, text);
    else cells.set(--col, " ");
  }
  return { cells, col };
}

function keysOf(chunk: Buffer, end: number): Key[] {
  const other: Key = { end, does: "other", text: "", takenAtMs: null };
  if (chunk.length > LONGEST_TYPED_BYTES) return [other];
  const keys: Key[] = [];
  let at = end - chunk.length;
  for (const text of chunk.toString("utf8")) {
    at += Buffer.byteLength(text);
    const does = text === "\x7f" ? "erase" : isShown(text) ? "show" : "other";
    // A key of several bytes, an arrow say, is one that nobody can tell.
    if (does === "other") return [other];
    keys.push({ end: at, does, text, takenAtMs: null });
  }
  return keys;
}

/** A character of one column. U+FFFD stands for half of one: the rest comes with the next piece. */
function isShown(text: string): boolean {
  return /^[ -~]$/.test(text) || (!/^[\p{C}\p{M}\ufffd]$/u.test(text) && stringWidth(text) === 1);
}
