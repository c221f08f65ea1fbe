import { Readable, Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { setImmediate } from "node:timers/promises";
import type { Terminal } from "../../cluster.js";
import { takeMouse, type Mouse } from "../model/mouse.js";

/** What a real terminal's input has and a test's stream may not. */
type RawInput = NodeJS.ReadableStream & { setRawMode?(raw: boolean): unknown };

/**
 * Ink's stdin. Ink would read the real one itself, turn it into text for good (`setEncoding`) and take bytes that belong to
 * an attach. So we read the real one, give Ink text in pieces, and keep the terminal raw from start to end: between
 * screen and attach no byte is echoed, lost or read by the wrong one.
 */
export class InkInput extends Readable {
  readonly isTTY = true;
  readonly #input: RawInput;
  readonly #onGone: () => void;
  readonly #onMouse: (mouse: Mouse) => void;
  #decoder = new StringDecoder("utf8");
  #reading = false;
  #pieces: string[] = [];
  #begun = false;
  #feeding = false;
  /** The beginning of a mouse report whose end has not come yet. */
  #unfinished = "";

  /** `onGone` is called when the terminal has gone away (end or error of its input); `onMouse` for what Ink does not know. */
  constructor(input: NodeJS.ReadableStream, handlers: { onGone: () => void; onMouse: (mouse: Mouse) => void }) {
    super({ objectMode: true, read: () => undefined });
    this.#input = input;
    const { onGone } = handlers;
    this.#onGone = onGone;
    this.#onMouse = handlers.onMouse;
    input.on("end", onGone);
    input.on("error", onGone);
    input.on("close", onGone);
  }

  /** Ink listens: what was typed so far is its, and what comes. */
  begin(): void {
    this.#begun = true;
    void this.#feed();
  }

  /** Takes the terminal's input; everything typed goes to Ink from now on. */
  open(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#decoder = new StringDecoder("utf8");
    this.#input.setRawMode?.(true);
    this.#input.on("data", this.#onData);
    this.#input.resume();
  }

  /** Lets go of the terminal's input; what was typed and not used yet is there for whoever reads next. */
  release(): void {
    if (!this.#reading) return;
    this.#reading = false;
    this.#input.off("data", this.#onData);
    this.#input.pause();
    const rest = this.#pieces.join("");
    this.#pieces = [];
    if (rest !== "") this.#input.unshift(Buffer.from(rest));
  }

  /** Echo and line editing as they were found, until it is opened again. */
  setCooked(): void {
    this.#input.setRawMode?.(false);
  }

  /** Lets go of everything, and leaves the terminal as it was found. */
  close(): void {
    this.release();
    this.#input.off("end", this.#onGone);
    this.#input.off("close", this.#onGone);
    this.#input.setRawMode?.(false);
  }

  // Ink's own ideas about the terminal's input end here.
  setRawMode(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  override setEncoding(): this {
    return this;
  }

  readonly #onData = (chunk: Buffer | string): void => {
    const typed = typeof chunk === "string" ? chunk : this.#decoder.write(chunk);
    const { events, text, rest } = takeMouse(this.#unfinished + typed);
    this.#unfinished = rest;
    for (const event of events) this.#onMouse(event);
    // Ink takes Enter, Tab and other control characters for keys only when they come alone. Escape stays with what follows.
    this.#pieces.push(
      ...(text.match(/[\u0000-\u001a\u001c-\u001f\u007f]|[^\u0000-\u001a\u001c-\u001f\u007f]+/g) ?? []),
    );
    if (!this.#begun) this.#input.pause();
    else if (!this.#feeding) void this.#feed();
  };

  /** One piece at a time, so that what follows the Enter of an attach is not taken for commands but goes to the session. */
  async #feed(): Promise<void> {
    this.#feeding = true;
    this.#input.pause();
    for (let piece = this.#pieces.shift(); piece !== undefined; piece = this.#pieces.shift()) {
      this.push(piece);
      await setImmediate();
    }
    this.#feeding = false;
    if (this.#reading) this.#input.resume();
  }
}

/** What concerns the keyboard: bracketed paste. */
const KEYBOARD_MODES = /\u001b\[\?2004[hl]/g;

/**
 * Ink's stdout. Only the keyboard's modes reach the terminal: Ink ends its frames, empty as they are, with a line feed, which
 * scrolls a screen that is drawn already.
 */
export class InkOutput extends Writable {
  readonly isTTY = true;
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    super({ decodeStrings: false });
    this.#terminal = terminal;
  }

  get columns(): number {
    return this.#terminal.size().cols;
  }

  get rows(): number {
    return this.#terminal.size().rows;
  }

  override _write(chunk: string | Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    // Passed on at once: what is queued here would come out after what others print once the screen is closed. Terminals
    // are written synchronously, so a slow one holds us back by itself.
    const modes = chunk.toString().match(KEYBOARD_MODES);
    if (modes) this.#terminal.output.write(modes.join(""));
    callback();
  }
}

/** A screen of our own, with no cursor on it; the one before comes back with SCREEN_OFF. */
export const SCREEN_ON = "\u001b[?1049h\u001b[?25l";
export const SCREEN_OFF = "\u001b[?25h\u001b[?1049l";

/**
 * Ends every mode that the TUI or an attach may have set: mouse, bracketed paste, kitty keyboard, alternate screen, hidden
 * cursor, colours. For the way out that nobody planned; the planned ones undo what they did.
 */
export const RESET_TERMINAL =
  "\u001b[?2026l\u001b[?1000l\u001b[?1002l\u001b[?1003l\u001b[?1006l\u001b[?2004l\u001b[?1049l\u001b[?25h\u001b[0m";
