import xterm from "@xterm/headless";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { orders, serveStandIns } from "./stand-ins.js";

/** What is printed, as one line of JSON. Times in ms. */
export interface TuiTimes {
  /** From the start of the process to the first line that it draws, and to the frame that lists every session. */
  firstFrame: number[];
  firstList: number[];
  /** From a key to the frame that it makes. */
  key: number[];
  /** Bytes of each of those frames. */
  bytes: number[];
  /** Resident memory once everything was listed and walked through. */
  rssBytes: number;
}

const SIZE = { cols: 200, rows: 60 };
const DEADLINE_MS = 30_000;
const KEYS = ["j", "k", "\u001b[6~", "\u001b[5~", "\u001b[F", "\u001b[H"];

/**
 * Runs on a shell host as ls-main does: the TUI of the service user in a terminal of 200x60, started RUNS times; the last
 * one is given keys.
 */
const { home, runs, ...standIns } = orders(process.argv.slice(2));
await serveStandIns(standIns);
const all = new RegExp(`of ${standIns.agents * standIns.sessions} sessions`);

class Tui {
  readonly #emulator = new xterm.Terminal({ ...SIZE, allowProposedApi: true });
  readonly #startedMs = performance.now();
  readonly #child: ChildProcess;
  #heard: (bytes: number) => void = () => undefined;

  constructor() {
    const command = `stty cols ${SIZE.cols} rows ${SIZE.rows}; exec /usr/local/bin/convocate`;
    this.#child = spawn("script", ["-qec", command, "/dev/null"], {
      uid: standIns.uid,
      gid: standIns.gid,
      env: { HOME: home, PATH: process.env["PATH"], SHELL: "/bin/sh", TERM: "xterm-256color" },
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      this.#emulator.write(chunk);
      this.#heard(chunk.length);
    });
  }

  get sinceStartMs(): number {
    return performance.now() - this.#startedMs;
  }

  #text(): string {
    const { active } = this.#emulator.buffer;
    return Array.from({ length: SIZE.rows }, (_, row) => active.getLine(row)?.translateToString(true) ?? "").join("\n");
  }

  async see(text: RegExp): Promise<void> {
    while (!text.test(this.#text())) {
      if (this.sinceStartMs > DEADLINE_MS) throw new Error(`no ${String(text)} on the screen:\n${this.#text()}`);
      await sleep(1);
    }
  }

  async key(key: string): Promise<{ ms: number; bytes: number }> {
    const frame = new Promise<{ ms: number; bytes: number }>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`nothing was drawn after ${JSON.stringify(key)}`)), DEADLINE_MS);
      let lastMs: number | null = null;
      let bytes = 0;
      const startedMs = performance.now();
      const whole = (): void => {
        clearTimeout(timer);
        resolve({ ms: lastMs ?? Infinity, bytes });
      };
      this.#heard = (more) => {
        bytes += more;
        // A frame may come in pieces: the terminal hands on 4 KB at once.
        if (lastMs === null) setTimeout(whole, 15);
        lastMs = performance.now() - startedMs;
      };
    });
    this.#child.stdin?.write(key);
    return await frame;
  }

  rssBytes(): number {
    const script = this.#child.pid ?? 0;
    const pid = readFileSync(`/proc/${script}/task/${script}/children`, "utf8").trim().split(" ")[0] ?? "";
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
  }

  async quit(): Promise<void> {
    const closed = once(this.#child, "close");
    this.#child.stdin?.write("q");
    await closed;
  }
}

const times: TuiTimes = { firstFrame: [], firstList: [], key: [], bytes: [], rssBytes: 0 };
for (let run = 0; run < runs; run += 1) {
  const tui = new Tui();
  await tui.see(/convocate/);
  times.firstFrame.push(tui.sinceStartMs);
  await tui.see(all);
  times.firstList.push(tui.sinceStartMs);
  if (run === runs - 1) {
    await sleep(2000);
    for (let at = 0; at < 120; at += 1) {
      const { ms, bytes } = await tui.key(KEYS[at % KEYS.length] ?? "j");
      // The first ones are compiled as they run.
      if (at < 20) continue;
      times.key.push(ms);
      times.bytes.push(bytes);
    }
    times.rssBytes = tui.rssBytes();
  }
  await tui.quit();
}
process.stdout.write(`${JSON.stringify(times)}\n`);
process.exit(0);
