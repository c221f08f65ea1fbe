import { randomUUID } from "node:crypto";
import { command } from "./cluster.js";
import { eventually } from "./door.js";

/** A program in a real terminal: tmux on a server of its own, driven by keys and read as a screen. */
export class TmuxTerminal implements AsyncDisposable {
  readonly #server = `convocate-test-${randomUUID()}`;

  static async open(argv: readonly string[], { cols = 110, rows = 32 } = {}): Promise<TmuxTerminal> {
    const terminal = new TmuxTerminal();
    await terminal.#tmux(
      "-f",
      "/dev/null",
      "new-session",
      "-d",
      "-x",
      String(cols),
      "-y",
      String(rows),
      ...argv,
      ";",
      "set",
      "-g",
      "remain-on-exit",
      "on",
    );
    return terminal;
  }

  /** Text as it is. */
  async type(text: string): Promise<void> {
    await this.#tmux("send-keys", "-l", text);
  }

  /** A key by tmux's name: Enter, Escape, Up, C-c. */
  async key(...names: string[]): Promise<void> {
    await this.#tmux("send-keys", ...names);
  }

  async resize(cols: number, rows: number): Promise<void> {
    await this.#tmux("resize-window", "-x", String(cols), "-y", String(rows));
  }

  /** The screen's text; with `ansi`, its colours too. */
  async screen({ ansi = false } = {}): Promise<string> {
    return await this.#tmux("capture-pane", "-p", ...(ansi ? ["-e"] : []));
  }

  async see(text: string | RegExp, timeoutMs = 30_000): Promise<string> {
    try {
      return await eventually(
        `${String(text)} on the screen`,
        async () => {
          const screen = await this.screen();
          return (typeof text === "string" ? screen.includes(text) : text.test(screen)) && screen;
        },
        { timeoutMs, everyMs: 100 },
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}; it showed:\n${await this.screen()}`);
    }
  }

  async seeNot(text: string | RegExp, timeoutMs = 30_000): Promise<void> {
    await eventually(
      `${String(text)} to go`,
      async () => {
        const screen = await this.screen();
        return !(typeof text === "string" ? screen.includes(text) : text.test(screen));
      },
      { timeoutMs, everyMs: 100 },
    );
  }

  /** The exit status of the program, once it ended. */
  async ended(timeoutMs = 30_000): Promise<number> {
    const status = await eventually(
      "the program to end",
      async () => {
        const text = (await this.#tmux("display-message", "-p", "#{pane_dead} #{pane_dead_status}")).trim();
        return text.startsWith("1") && text;
      },
      { timeoutMs, everyMs: 100 },
    );
    return Number(status.split(" ")[1]);
  }

  async #tmux(...argv: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await command(["tmux", "-L", this.#server, ...argv]);
    if (exitCode !== 0) throw new Error(`tmux ${argv[0] ?? ""}: ${stderr}`);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await command(["tmux", "-L", this.#server, "kill-server"]);
  }
}
