import type { Readable, Writable } from "node:stream";
import type { ReadStream, WriteStream } from "node:tty";
import { ConvocateError } from "../../domain/index.js";
import type { Terminal } from "../cluster.js";

/** A real terminal. @throws ConvocateError BAD_USAGE when either end is something else (a pipe, a file). */
export function processTerminal(stdin: ReadStream = process.stdin, stdout: WriteStream = process.stdout): Terminal {
  // Node's types promise a terminal here; a pipe or a file has none of its methods.
  if (!(stdin.isTTY as boolean | undefined) || !(stdout.isTTY as boolean | undefined))
    throw new ConvocateError("BAD_USAGE", "this needs a terminal: stdin and stdout are not one");
  return {
    input: stdin,
    output: stdout,
    size: () => sizeOf(stdout),
    onResize(listener) {
      stdout.on("resize", listener);
      return () => void stdout.off("resize", listener);
    },
    term: /^[A-Za-z0-9+._-]{1,64}$/.test(process.env["TERM"] ?? "") ? (process.env["TERM"] ?? "") : "xterm-256color",
    predicts: process.env["CONVOCATE_PREDICT"] !== "never",
  };
}

/** A terminal that does not know its size says 0x0 (`ssh -tt` from a program that has none): then it is taken for 80x24. */
function sizeOf({ columns, rows }: Partial<WriteStream>): { cols: number; rows: number } {
  return { cols: columns || 80, rows: rows || 24 };
}

const ESC = "\x1b";

/** Keyboard modes that programs turn on: application cursor keys, keypad, modifyOtherKeys, kitty's flags, paste brackets. */
const PLAIN_KEYBOARD = `${ESC}[?1l${ESC}>${ESC}[>4;0m${ESC}[=0u${ESC}[?2004l`;
/** Mouse reporting of every kind, and focus events. */
const NO_REPORTS = `${ESC}[?1000l${ESC}[?1002l${ESC}[?1003l${ESC}[?1004l${ESC}[?1005l${ESC}[?1006l${ESC}[?1015l`;
/** Ends a half-received control sequence, so that what follows is read as what it is. */
const END_SEQUENCE = `${ESC}\\`;

/**
 * The terminal for the time of one attach: raw input, and afterwards whatever modes the session left behind are undone,
 * also when its connection broke in the middle of a sequence.
 */
export class AttachedTerminal implements Disposable {
  readonly #terminal: Terminal;
  readonly #wasRaw: boolean | null;
  readonly #alternate = new AlternateScreen();
  #restored = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    const input = terminal.input as Partial<ReadStream>;
    this.#wasRaw = input.isTTY && input.setRawMode ? (input.isRaw ?? false) : null;
    if (this.#wasRaw === false) input.setRawMode?.(true);
  }

  /** Writes output of the session; resolves when the terminal has room for more. */
  async write(data: Buffer): Promise<void> {
    this.#alternate.observe(data);
    const output = this.#terminal.output as Writable;
    if (output.write(data)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        output.off("drain", done);
        output.off("close", done);
        resolve();
      };
      output.on("drain", done);
      output.on("close", done);
    });
  }

  /** Writes a few bytes of our own, at once. */
  draw(sequence: string): void {
    this.#terminal.output.write(sequence);
  }

  /** One line at the bottom, in place; the next screen from the session paints over it. */
  showLine(text: string): void {
    const { rows, cols } = this.#terminal.size();
    const line = text.slice(0, Math.max(0, cols - 1));
    this.#terminal.output.write(
      `${END_SEQUENCE}${PLAIN_KEYBOARD}${NO_REPORTS}${ESC}7${ESC}[${rows};1H${ESC}[0;7m${line}${ESC}[0m${ESC}[K${ESC}8`,
    );
  }

  /** Takes the line away again; the session's screen may be redrawn by less than all of it. */
  clearLine(): void {
    const { rows } = this.#terminal.size();
    this.#terminal.output.write(`${ESC}7${ESC}[${rows};1H${ESC}[0m${ESC}[K${ESC}8`);
  }

  [Symbol.dispose](): void {
    if (this.#restored) return;
    this.#restored = true;
    const leave = this.#alternate.active ? `${ESC}[r${ESC}[?1049l` : "";
    this.#terminal.output.write(`${END_SEQUENCE}${NO_REPORTS}${PLAIN_KEYBOARD}${ESC}[0m${leave}${ESC}[?25h`);
    const input = this.#terminal.input as Partial<ReadStream>;
    if (this.#wasRaw === false) input.setRawMode?.(false);
    (this.#terminal.input as Readable).pause();
  }
}

/**
 * Whether the session has left the alternate screen on. Leaving it when it is not on would move the cursor up and let the
 * shell's prompt overwrite what tmux printed last.
 */
class AlternateScreen {
  static readonly #ON = Buffer.from(`${ESC}[?1049h`);
  static readonly #OFF = Buffer.from(`${ESC}[?1049l`);
  #tail = Buffer.alloc(0);
  active = false;

  observe(data: Buffer): void {
    const length = AlternateScreen.#ON.length;
    // A sequence may be cut in two: the seam is looked at first, then the rest.
    const seam = Buffer.concat([this.#tail, data.subarray(0, length - 1)]);
    this.#look(seam);
    this.#look(data);
    this.#tail = Buffer.from((data.length >= length ? data : seam).subarray(-(length - 1)));
  }

  #look(data: Buffer): void {
    const on = data.lastIndexOf(AlternateScreen.#ON);
    const off = data.lastIndexOf(AlternateScreen.#OFF);
    if (on !== off) this.active = on > off;
  }
}
