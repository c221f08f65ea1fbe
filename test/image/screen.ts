import Docker from "dockerode";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import xterm from "@xterm/headless";

export interface ScreenOptions {
  command: string[];
  user: string;
  term: string;
  cols: number;
  rows: number;
}

/** A terminal on a TTY exec of a container, the way the agent attaches: bytes to a terminal emulator, keys to the exec. */
export class Screen {
  private readonly terminal: InstanceType<typeof xterm.Terminal>;
  /** Resolves when the exec's stream has ended. */
  readonly ended: Promise<unknown>;

  private constructor(
    private readonly exec: Docker.Exec,
    private readonly stream: Duplex,
    { cols, rows }: ScreenOptions,
  ) {
    this.terminal = new xterm.Terminal({ cols, rows, allowProposedApi: true });
    // tmux asks the terminal what it is; the emulator's answers go back like keys.
    this.terminal.onData((data) => stream.write(data));
    stream.on("data", (chunk: Buffer) => this.terminal.write(chunk));
    // A stream that breaks off has ended as well.
    this.ended = once(stream, "close").catch(() => undefined);
    stream.on("end", () => stream.destroy());
  }

  static async open(container: string, options: ScreenOptions): Promise<Screen> {
    const exec = await new Docker().getContainer(container).exec({
      Cmd: options.command,
      User: options.user,
      Env: [`TERM=${options.term}`],
      Tty: true,
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
    });
    const stream = await exec.start({ hijack: true, stdin: true, Tty: true });
    const screen = new Screen(exec, stream, options);
    await screen.resize(options.cols, options.rows);
    return screen;
  }

  type(keys: string): void {
    this.stream.write(keys);
  }

  async resize(cols: number, rows: number): Promise<void> {
    this.terminal.resize(cols, rows);
    await this.exec.resize({ w: cols, h: rows });
  }

  /** What is on the screen now, without the blanks at the ends of lines. */
  text(): string {
    const { active } = this.terminal.buffer;
    const lines = Array.from({ length: this.terminal.rows }, (_, row) => active.getLine(active.viewportY + row));
    return lines
      .map((line) => line?.translateToString(true) ?? "")
      .join("\n")
      .trimEnd();
  }

  /** Waits until the screen has this text, and returns the screen; throws with the screen after `timeoutMs`. */
  async shows(expected: string | RegExp, timeoutMs = 30_000): Promise<string> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const text = this.text();
      if (typeof expected === "string" ? text.includes(expected) : expected.test(text)) return text;
      if (Date.now() > deadline)
        throw new Error(`after ${timeoutMs} ms no ${String(expected)} on the screen:\n${text}`);
      await sleep(25);
    }
  }

  /** The exit code of the attach, once it has ended. */
  async exitCode(): Promise<number | null> {
    await this.ended;
    return (await this.exec.inspect()).ExitCode;
  }

  close(): void {
    this.stream.destroy();
    this.terminal.dispose();
  }
}
