import { fork, spawn, type ChildProcess } from "node:child_process";
import xterm from "@xterm/headless";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Door } from "../support/door.js";
import type { AttachOrder } from "./attach-client.js";

const SIZE = { cols: 120, rows: 40 };
const FIRST_BYTE_TIMEOUT_MS = 20_000;
const DETACH_TIMEOUT_MS = 10_000;

/** A session to attach to, and the two ways there. */
export interface Target {
  door: Door;
  id: string;
  /** Arguments of ssh for root on the agent's host, the destination last. */
  ssh: string[];
  /** Bundle of attach-client.ts. */
  client: string;
}

/** An attach in a process of its own, seen through its pipes. */
class Attach {
  readonly #child: ChildProcess;
  readonly #startedMs: number;
  #said = "";
  #heard: ((chunk: string, atMs: number) => void) | null = null;
  #shown: ((atMs: number) => void) | null = null;
  #screen: InstanceType<typeof xterm.Terminal> | null = null;
  readonly firstByteMs: Promise<number>;

  constructor(child: ChildProcess, startedMs: number) {
    this.#child = child;
    this.#startedMs = startedMs;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#said = (this.#said + text).slice(-2000)));
    child.stdin?.on("error", () => undefined);
    this.firstByteMs = new Promise((resolve, reject) => {
      child.stdout?.once("data", () => resolve(performance.now() - this.#startedMs));
      child.once("close", (code) =>
        reject(new Error(`the attach ended with ${String(code)} before it showed anything: ${this.#said}`)),
      );
      setTimeout(
        () => reject(new Error(`the attach showed nothing within 20 s: ${this.#said}`)),
        FIRST_BYTE_TIMEOUT_MS,
      ).unref();
    });
    this.firstByteMs.catch(() => undefined);
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      const atMs = performance.now();
      this.#heard?.(chunk, atMs);
      this.#screen?.write(chunk, () => this.#shown?.(atMs));
    });
  }

  /**
   * Types one letter; resolves to the milliseconds until it came back. Escape sequences that tmux puts around it are not
   * mistaken for it. @throws when it did not within 5 s.
   */
  async echo(letter: string): Promise<number> {
    const startedMs = performance.now();
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#heard = null;
        reject(new Error(`'${letter}' was typed and did not come back within 5 s: ${this.#said}`));
      }, 5_000);
      this.#heard = (chunk, atMs) => {
        if (!withoutEscapes(chunk).includes(letter)) return;
        clearTimeout(timer);
        this.#heard = null;
        resolve(atMs - startedMs);
      };
      this.#child.stdin?.write(letter);
    });
  }

  /** Keeps a screen of what is shown; to be called before anything is. */
  watch(): void {
    this.#screen = new xterm.Terminal({ ...SIZE, scrollback: 0, allowProposedApi: true });
  }

  /**
   * Types one letter; resolves to the milliseconds until the screen shows one letter more, whoever put it there: what comes
   * back late of letters before is no echo of this one. @throws when it did not within 5 s.
   */
  async echoOnScreen(letter: string): Promise<number> {
    const before = this.letters().length;
    const startedMs = performance.now();
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#shown = null;
        reject(new Error(`'${letter}' was typed and is not on the screen after 5 s: ${this.#said}`));
      }, 5_000);
      this.#shown = (atMs) => {
        if (this.letters().length <= before) return;
        clearTimeout(timer);
        this.#shown = null;
        resolve(atMs - startedMs);
      };
      this.#child.stdin?.write(letter);
    });
  }

  /** The capitals on the watched screen, in order: nothing but what was typed has any. */
  letters(): string {
    const active = this.#screen?.buffer.active;
    // The last line is tmux's.
    const lines = Array.from({ length: SIZE.rows - 1 }, (_, row) => active?.getLine(active.baseY + row));
    return lines.map((line) => line?.translateToString().replaceAll(/[^A-Z]/g, "") ?? "").join("");
  }

  /** Types, and resolves to the milliseconds until this text was shown; it must not be what is typed. */
  async until(typed: string, text: string, timeoutMs: number): Promise<number> {
    const startedMs = performance.now();
    let tail = "";
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#heard = null;
        reject(new Error(`'${text}' was not shown within ${timeoutMs / 1000} s: ${this.#said}`));
      }, timeoutMs);
      this.#heard = (chunk, atMs) => {
        tail = (tail + chunk).slice(-text.length - chunk.length);
        if (!tail.includes(text)) return;
        clearTimeout(timer);
        this.#heard = null;
        resolve(atMs - startedMs);
      };
      this.#child.stdin?.write(typed);
    });
  }

  /** Detaches as a user does and waits for the end: a client that is only killed may stay in the container. */
  async detach(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const closed = once(this.#child, "close");
    this.#child.stdin?.write("\x02d");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), DETACH_TIMEOUT_MS);
    await closed;
    clearTimeout(timer);
    if (this.#child.signalCode !== null) throw new Error(`the attach did not end when told to: ${this.#said}`);
  }
}

/** Text without control sequences, so that no letter of one is taken for a key's echo. */
export function withoutEscapes(text: string): string {
  return text.replace(/\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[=>78cDEHMNOZ])/g, "");
}

/**
 * Ours: dial, authenticate, open the subsystem, attach in framed mode. The clock starts when the order goes to a process
 * that is up, as a user's convocate is when Enter is pressed.
 */
export async function attachOurs({ door, id, client }: Target): Promise<Attach> {
  const child = fork(client, [], { stdio: ["pipe", "pipe", "pipe", "ipc"], execArgv: [] });
  await once(child, "message");
  const { host, port, hostKey, privateKey } = door;
  const order: AttachOrder = { door: { host, port: port, hostKey, privateKey }, id, size: SIZE };
  const startedMs = performance.now();
  child.send(order);
  return new Attach(child, startedMs);
}

/** What a user would type instead. The pipe in place of a local terminal only makes it faster. */
export async function attachPeer({ ssh, id }: Target): Promise<Attach> {
  const exec = `docker exec -it -u 1337:1337 -e TERM=xterm-256color -e HOME=/home/claude -e LANG=C.UTF-8 convocate-session-${id}`;
  const remote = `stty cols ${SIZE.cols} rows ${SIZE.rows}; exec ${exec} tmux -u attach-session -t =claude`;
  const startedMs = performance.now();
  return new Attach(spawn("ssh", ["-tt", "-e", "none", ...ssh, remote], { stdio: "pipe" }), startedMs);
}

/** Lets the screen that an attach begins with come to its end. */
export const settle = (): Promise<void> => sleep(500);
