import { execFile } from "node:child_process";
import { basename } from "node:path";
import { SessionId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import type { Clock } from "../clock.js";

const EVERY_MS = 5 * 60_000;
/** A measurement may take 0.5% of the time at most, however large the homes are. */
const REST = 200;
const TIMEOUT_MS = 30 * 60_000;
/** Homes per run of du: an argument list has a limit. */
const AT_ONCE = 500;

/** Measures folders; answers with bytes on disk by path. */
export type Measure = (paths: readonly string[], signal: AbortSignal) => Promise<Map<string, number>>;

/** What sessions' homes take on disk, measured every five minutes, or less often where that takes long. */
export class DiskUse implements AsyncDisposable {
  readonly #homes: () => readonly string[];
  readonly #measure: Measure;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #stop = new AbortController();
  #bytes = new Map<SessionId, number>();
  #measured = false;
  #done: Promise<void> = Promise.resolve();

  /** `homes`: the paths of all sessions' homes, each named by its session. */
  constructor(options: { homes: () => readonly string[]; clock: Clock; log: Log; measure?: Measure }) {
    this.#homes = options.homes;
    this.#measure = options.measure ?? du;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  start(): void {
    this.#done = this.#run();
  }

  /** Bytes on disk as last measured; 0 before that. */
  of(id: SessionId): number {
    return this.#bytes.get(id) ?? 0;
  }

  /** All homes together; null before the first measurement. */
  total(): number | null {
    return this.#measured ? [...this.#bytes.values()].reduce((a, b) => a + b, 0) : null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const signal = this.#stop.signal;
    while (!signal.aborted) {
      const began = this.#clock.monotonicMs();
      try {
        await this.#round(signal);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#log.warn({ error: String(error) }, "the sessions' homes could not be measured; the last figures stand");
      }
      const took = this.#clock.monotonicMs() - began;
      await this.#clock.sleep(Math.max(EVERY_MS, took * REST), signal).catch(() => undefined);
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    const homes = [...this.#homes()];
    const bytes = new Map<SessionId, number>();
    while (homes.length > 0) {
      for (const [path, size] of await this.#measure(homes.splice(0, AT_ONCE), signal)) {
        const id = SessionId.safeParse(basename(path));
        if (id.success) bytes.set(id.data, size);
      }
    }
    this.#bytes = bytes;
    this.#measured = true;
  }
}

/** With `du`, which knows sparse files and hard links. Files that vanish under it make it end with 1, and are no error. */
export const du: Measure = async (paths, signal) => {
  const options = { signal, timeout: TIMEOUT_MS, maxBuffer: 4 << 20, env: { ...process.env, LC_ALL: "C" } };
  const argv = ["--summarize", "--one-file-system", "--block-size=1", "--", ...paths];
  const stdout = await new Promise<string>((resolve, reject) => {
    execFile("du", argv, options, (error, said) => {
      if (error && error.code !== 1) reject(new Error(`du: ${error.message}`, { cause: error }));
      else resolve(said);
    });
  });
  const found = new Map<string, number>();
  for (const line of stdout.split("\n")) {
    const [, size, path] = /^(\d+)\t(.+)$/.exec(line) ?? [];
    if (size && path) found.set(path, Number(size));
  }
  return found;
};
