import xterm from "@xterm/headless";
import { PassThrough, Writable } from "node:stream";
import type { Terminal } from "../../runtime/shell/cluster.js";
import { eventually } from "./eventually.js";

/** A terminal in memory: what is typed into it a program reads, what the program writes is a screen. */
export class MemoryTerminal implements Terminal {
  readonly input = new PassThrough();
  readonly term = "xterm-256color";
  readonly #size: { cols: number; rows: number };
  readonly #emulator: InstanceType<typeof xterm.Terminal>;
  /** Called with each piece that is written, as it is written. */
  onWritten: (chunk: Buffer) => void = () => undefined;
  readonly output = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      this.onWritten(chunk);
      this.#emulator.write(chunk, () => done());
    },
  });

  /** With `answers`, questions of what runs in it (where is the cursor, what are you) are answered as terminals do. */
  constructor(size: { cols: number; rows: number }, { answers = false } = {}) {
    this.#size = size;
    this.#emulator = new xterm.Terminal({ ...size, allowProposedApi: true });
    if (answers) this.#emulator.onData((answer) => void this.input.write(answer));
  }

  size(): { cols: number; rows: number } {
    return this.#size;
  }

  onResize(): () => void {
    return () => undefined;
  }

  type(text: string): void {
    this.input.write(text);
  }

  /** A line a row, without trailing blanks. */
  text(): string {
    const { active } = this.#emulator.buffer;
    const line = (row: number): string => active.getLine(active.baseY + row)?.translateToString(true) ?? "";
    return Array.from({ length: this.#size.rows }, (_, row) => line(row)).join("\n");
  }

  async see(text: string | RegExp, timeoutMs = 30_000): Promise<string> {
    try {
      return await eventually(
        `${String(text)} on the screen`,
        () => {
          const screen = this.text();
          return (typeof text === "string" ? screen.includes(text) : text.test(screen)) && screen;
        },
        { timeoutMs, everyMs: 20 },
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}; it showed:\n${this.text()}`);
    }
  }
}
