import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** How long anything on the screen may take before it counts as missing; generous, since machines are shared. */
const DEADLINE_MS = 15_000;

/** The fake TUI as one file in a directory of its own. */
export interface Program extends Disposable {
  path: string;
}

export async function buildProgram(entry: string): Promise<Program> {
  const directory = mkdtempSync(join(tmpdir(), "convocate-tui-"));
  const path = join(directory, "program.mjs");
  await build({
    entryPoints: [entry],
    outfile: path,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    jsx: "automatic",
    logLevel: "error",
    define: { "process.env.NODE_ENV": '"production"' },
    banner: { js: "import { createRequire as __r } from 'node:module'; const require = __r(import.meta.url);" },
    plugins: [
      {
        // Ink imports it only where DEV=true; nobody installs it.
        name: "no-devtools",
        setup: (esbuild) => {
          esbuild.onResolve({ filter: /^react-devtools-core$/ }, ({ path }) => ({ path, namespace: "empty" }));
          esbuild.onLoad({ filter: /.*/, namespace: "empty" }, () => ({ contents: "export default {}" }));
        },
      },
    ],
  });
  return { path, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

/** A real terminal (tmux, on a server of its own) with a shell in it, and a program that the shell ran. */
export class Screen implements Disposable {
  readonly #directory: string;

  constructor(name: string, size: { cols: number; rows: number }) {
    this.#directory = mkdtempSync(join(tmpdir(), `t-tui-${name}-`));
    const { cols, rows } = size;
    // `-f /dev/null`: nobody's own tmux settings; HISTFILE and rc files stay out of it too.
    this.#tmux("-f", "/dev/null", "new-session", "-d", "-x", String(cols), "-y", String(rows), "env", "PS1=$ ", "sh");
  }

  /** Types a command line into the shell, for words without quotes in them. */
  command(...words: readonly string[]): void {
    this.text(words.map((word) => `'${word}'`).join(" "));
    this.keys("Enter");
  }

  /** Keys by tmux's names: `Enter`, `Escape`, `Down`, `C-c`, `j`. */
  keys(...keys: readonly string[]): void {
    this.#tmux("send-keys", "-t", ":", ...keys);
  }

  /** Text as it is, all in one piece. */
  text(text: string): void {
    this.#tmux("send-keys", "-t", ":", "-l", text);
  }

  /** As a terminal pastes: bracketed, where the program asked for that. */
  paste(text: string): void {
    this.#tmux("set-buffer", text);
    this.#tmux("paste-buffer", "-p", "-t", ":");
  }

  resize(size: { cols: number; rows: number }): void {
    this.#tmux("resize-window", "-x", String(size.cols), "-y", String(size.rows));
  }

  capture(): string {
    return this.#tmux("capture-pane", "-p", "-t", ":");
  }

  /** The screen with its styles, as escape sequences. */
  captureStyled(): string {
    return this.#tmux("capture-pane", "-e", "-p", "-t", ":");
  }

  /** Whether the alternate screen is shown, and the cursor. */
  modes(): { alternate: boolean; cursor: boolean } {
    const [alternate, cursor] = this.#tmux("display", "-p", "-t", ":", "#{alternate_on} #{cursor_flag}")
      .trim()
      .split(" ");
    return { alternate: alternate === "1", cursor: cursor === "1" };
  }

  /** The process that the shell runs now. */
  child(): number {
    const shell = this.#tmux("display", "-p", "-t", ":", "#{pane_pid}").trim();
    return Number(readFileSync(`/proc/${shell}/task/${shell}/children`, "utf8").trim().split(" ")[0]);
  }

  /** Waits until the screen shows this. @throws Error with the screen as it is, when it does not come. */
  async shows(wanted: RegExp | string): Promise<string> {
    return this.#until(
      (screen) => (typeof wanted === "string" ? screen.includes(wanted) : wanted.test(screen)),
      `shows ${wanted}`,
    );
  }

  async hides(unwanted: string): Promise<string> {
    return this.#until((screen) => !screen.includes(unwanted), `hides ${unwanted}`);
  }

  async #until(holds: (screen: string) => boolean, what: string): Promise<string> {
    const endMs = Date.now() + DEADLINE_MS;
    for (;;) {
      const screen = this.capture();
      if (holds(screen)) return screen;
      if (Date.now() > endMs)
        throw new Error(`after ${DEADLINE_MS} ms not true that the screen ${what}; it is:\n${screen}`);
      await sleep(50);
    }
  }

  #tmux(...argv: readonly string[]): string {
    return execFileSync("tmux", ["-S", join(this.#directory, "socket"), ...argv], {
      encoding: "utf8",
      timeout: DEADLINE_MS,
    });
  }

  [Symbol.dispose](): void {
    this.#tmux("kill-server");
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
