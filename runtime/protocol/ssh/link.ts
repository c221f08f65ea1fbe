import { setTimeout as sleep } from "node:timers/promises";
import { ConvocateError, toConvocateError } from "../../domain/index.js";
import type { Log } from "../log.js";
import type { SshConnection } from "./types.js";

/** Redial after 1 s to 30 s, doubling, with jitter; from the start again once a connection stayed up (SPEC 5). */
const BACKOFF = { firstMs: 1000, maxMs: 30_000, stayedUpMs: 10_000 } as const;

/** How long to wait before redial `attempt` (0 the first): 50 to 100% of the doubling step, so that many do not come at once. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const step = Math.min(BACKOFF.maxMs, BACKOFF.firstMs * 2 ** Math.min(attempt, 10));
  return step / 2 + (random() * step) / 2;
}

export interface LinkOptions {
  dial: (signal: AbortSignal) => Promise<SshConnection>;
  /** Called for each connection made; what it throws closes that connection. */
  onUp: (connection: SshConnection) => void | Promise<void>;
  /** Called after each failed dial and each lost connection. */
  onDown: (error: ConvocateError) => void;
  log: Log;
}

/** A connection that is meant to be there always: dialled, watched, and dialled again when it is gone. */
export class Link implements AsyncDisposable {
  readonly #options: LinkOptions;
  readonly #stop = new AbortController();
  #done: Promise<void> = Promise.resolve();
  #wake: (() => void) | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  start(): void {
    this.#done = this.#run();
  }

  /** Cuts a wait for the next dial short: something says the peer is back. */
  redialNow(): void {
    this.#wake?.();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(): Promise<void> {
    const stop = this.#stop.signal;
    const stopped = (): boolean => stop.aborted;
    for (let attempt = 0; !stopped(); attempt++) {
      try {
        const connection = await this.#options.dial(stop);
        const since = Date.now();
        const onStop = (): void => connection.close();
        stop.addEventListener("abort", onStop, { once: true });
        let reason: Error | undefined;
        try {
          await this.#options.onUp(connection);
          reason = await connection.closed;
        } finally {
          stop.removeEventListener("abort", onStop);
          connection.close();
        }
        if (stopped()) return;
        if (Date.now() - since >= BACKOFF.stayedUpMs) attempt = -1;
        this.#options.onDown(
          new ConvocateError("CONNECTION_LOST", reason?.message ?? "the peer closed the connection", { cause: reason }),
        );
      } catch (error) {
        if (stopped()) return;
        this.#options.onDown(toConvocateError(error, "CONNECTION_LOST"));
      }
      await this.#wait(backoffMs(Math.max(attempt, 0)));
    }
  }

  async #wait(ms: number): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await sleep(ms, undefined, { signal: AbortSignal.any([this.#stop.signal, woken.signal]) }).catch(() => undefined);
    this.#wake = undefined;
  }
}
