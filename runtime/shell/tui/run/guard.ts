import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import type { Writable } from "node:stream";
import { RESET_TERMINAL } from "./streams.js";

/**
 * A shell that waits for our end. When the pipe from us closes without a word, we were killed (SIGKILL, the OOM killer, a
 * crash of Node itself): then it puts the terminal back. The line settings only when they are still the ones we made, for
 * whoever reads the terminal next may have made its own already.
 */
const SCRIPT = `
raw=$(stty -g) || exit 0
IFS= read -r word <&3
[ "$word" = done ] && exit 0
[ "$(stty -g)" = "$raw" ] && stty "$1"
printf '%b' "$2"
`;

/** The prompt of the shell came while our screen was still up, and went with it. */
const SAID = "\r\nconvocate was killed; its sessions go on. Press Enter.\r\n";

interface Descriptors {
  input: number;
  output: number;
}

/** Watches over the terminal from outside this process; see SCRIPT. Does nothing where there is no terminal or no shell. */
export class Guard implements Disposable {
  readonly #descriptors: Descriptors | null;
  /** The settings that are to come back, as `stty -g` writes them. */
  readonly #before: string | null;
  #child: ChildProcess | null = null;

  /** To be made before the terminal is made raw. */
  constructor(input: NodeJS.ReadableStream, output: NodeJS.WritableStream) {
    this.#descriptors = descriptorsOf(input, output);
    this.#before = this.#descriptors && settingsOf(this.#descriptors.input);
  }

  /** To be called when the terminal is raw. */
  watch(): void {
    if (!this.#descriptors || this.#before === null) return;
    const { input, output } = this.#descriptors;
    // The script's printf turns \\033 into Escape: a process list shows no control characters.
    const reset = (RESET_TERMINAL + SAID).replaceAll("\u001b", "\\033");
    try {
      // A session of its own: signals of the terminal, and of those that end our process group, do not reach it.
      const child = spawn("/bin/sh", ["-c", SCRIPT, "convocate-guard", this.#before, reset], {
        stdio: [input, output, "ignore", "pipe"],
        detached: true,
      });
      child.on("error", () => undefined);
      child.stdio[3]?.on("error", () => undefined);
      child.unref();
      (child.stdio[3] as unknown as { unref?(): void } | null)?.unref?.();
      this.#child = child;
    } catch {
      // Without it the TUI works as well; only a SIGKILL leaves the terminal raw.
    }
  }

  /** The terminal is as it was: nothing is left to do. */
  [Symbol.dispose](): void {
    (this.#child?.stdio[3] as Writable | null | undefined)?.end("done\n");
    this.#child = null;
  }
}

function descriptorsOf(input: NodeJS.ReadableStream, output: NodeJS.WritableStream): Descriptors | null {
  const [read, write] = [input, output] as Partial<{ isTTY: boolean; fd: number }>[];
  if (!read?.isTTY || !write?.isTTY || read.fd === undefined || write.fd === undefined) return null;
  return { input: read.fd, output: write.fd };
}

function settingsOf(fd: number): string | null {
  const { status, stdout } = spawnSync("stty", ["-g"], {
    stdio: [fd, "pipe", "ignore"],
    encoding: "utf8",
    timeout: 2000,
  });
  const settings = (stdout as string | null)?.trim() ?? "";
  return status === 0 && /^[0-9a-f:]+$/.test(settings) ? settings : null;
}
