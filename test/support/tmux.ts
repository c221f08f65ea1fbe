import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command } from "./cluster.js";
import { eventually } from "./eventually.js";

/** A program in a real terminal: tmux on a server of its own, driven by keys and read as a screen. */
export class TmuxTerminal implements AsyncDisposable {
  readonly #server = `convocate-test-${randomUUID()}`;
  readonly #status = join(tmpdir(), `${this.#server}.status`);

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
      "sh",
      "-c",
      '"$@"; echo "$?" >"$0"',
      terminal.#status,
      ...argv,
      // A program's attempt to write the clipboard (OSC 52) is taken, so that a test can see it.
      ";",
      "set",
      "-s",
      "set-clipboard",
      "on",
      ";",
      "set",
      "-g",
      "remain-on-exit",
      "on",
    );
    return terminal;
  }

  /** A shell in it, of which nobody's own settings are known: for programs that give the terminal back. */
  static async shell(size: { cols: number; rows: number }, ...env: string[]): Promise<TmuxTerminal> {
    return await TmuxTerminal.open(["env", "PS1=$ ", "ENV=", ...env, "sh"], size);
  }

  /** Types a command line into the shell, for words without quotes in them. */
  async command(...words: readonly string[]): Promise<void> {
    await this.type(words.map((word) => `'${word}'`).join(" "));
    await this.key("Enter");
  }

  /** As a terminal pastes: bracketed, where the program asked for that. */
  async paste(text: string): Promise<void> {
    await this.#tmux("set-buffer", text);
    await this.#tmux("paste-buffer", "-p");
  }

  /** Whether the alternate screen is shown, the cursor, and whether the program wants to hear of the mouse. */
  async modes(): Promise<{ alternate: boolean; cursor: boolean; mouse: boolean }> {
    const answer = await this.#tmux("display", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}");
    const [alternate, cursor, mouse] = answer.trim().split(" ");
    return { alternate: alternate === "1", cursor: cursor === "1", mouse: mouse === "1" };
  }

  /** The window's title, the clipboard that programs can write (null when none did), and whether a bell rang. */
  async leaks(): Promise<{ title: string; clipboard: string | null; bell: boolean }> {
    const [title, bell] = (await this.#tmux("display", "-p", "#{pane_title}\t#{window_bell_flag}")).trim().split("\t");
    const clipboard = await this.#tmux("show-buffer").catch(() => null);
    return { title: title ?? "", clipboard, bell: bell === "1" };
  }

  /** The process that the shell runs now. */
  async child(): Promise<number> {
    const childOf = async (pid: string): Promise<string> =>
      (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim().split(" ")[0] ?? "";
    // The pane's own process only notes how the shell ends.
    const shell = await childOf((await this.#tmux("display", "-p", "#{pane_pid}")).trim());
    return Number(await childOf(shell));
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
        { timeoutMs, everyMs: 50 },
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}; it showed:\n${await this.screen()}`);
    }
  }

  async seeNot(text: string | RegExp, timeoutMs = 30_000): Promise<string> {
    return await eventually(
      `${String(text)} to go`,
      async () => {
        const screen = await this.screen();
        return !(typeof text === "string" ? screen.includes(text) : text.test(screen)) && screen;
      },
      { timeoutMs, everyMs: 50 },
    );
  }

  /** The exit status of the program, once it ended; from its shell, since tmux now and then does not hear it. */
  async ended(timeoutMs = 30_000): Promise<number> {
    const status = await eventually(
      "the program to end",
      async () => (await readFile(this.#status, "utf8").catch(() => "")).trim() || undefined,
      { timeoutMs, everyMs: 50 },
    );
    return Number(status);
  }

  async #tmux(...argv: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await command(["tmux", "-L", this.#server, ...argv]);
    if (exitCode !== 0) throw new Error(`tmux ${argv[0] ?? ""}: ${stderr}`);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await command(["tmux", "-L", this.#server, "kill-server"]);
    await rm(this.#status, { force: true });
  }
}
