import { Duplex, PassThrough } from "node:stream";
import type { ExecRequest, ExecState, TtyExec } from "../../runtime/agent/containers/engine.js";

/** A process on a TTY that a test plays: `screen` is what it shows, `typed` what it got. */
export class FakeTty implements TtyExec {
  readonly #input = new PassThrough();
  readonly #output = new PassThrough();
  readonly stream: Duplex = Duplex.from({ readable: this.#output, writable: this.#input });
  readonly sizes: { cols: number; rows: number }[] = [];
  readonly request: ExecRequest;
  readonly pid: number;
  typed = "";
  exitCode: number | null = null;

  constructor(request: ExecRequest, pid: number) {
    this.request = request;
    this.pid = pid;
    this.#input.on("data", (chunk: Buffer) => (this.typed += chunk.toString()));
  }

  show(text: string): void {
    this.#output.write(text);
  }

  /** The process ends by itself, or by a signal. */
  end(exitCode: number): void {
    this.exitCode ??= exitCode;
    this.#output.end();
  }

  /** Docker goes away under it; the process lives on. */
  cut(): void {
    this.#output.end();
  }

  async resize(size: { cols: number; rows: number }): Promise<void> {
    this.sizes.push(size);
  }

  async state(): Promise<ExecState> {
    return { running: this.exitCode === null, pid: this.pid, exitCode: this.exitCode, argv: this.request.argv };
  }
}
