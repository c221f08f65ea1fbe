/** What services log with; composed as pino in each program, silent in tests. Never hand it a key or a secret. */
export interface Log {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

export const silentLog: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** Of what a peer can cause at will, so much is logged at once, and one more for each REFILL_MS. */
const BURST = 10;
const REFILL_MS = 6_000;

/**
 * Keeps a peer from filling the log: `next` gives the fields to add to a line (how many before it were not written), or null
 * when this one is not to be written.
 */
export class Sparing {
  readonly #now: () => number;
  #left = BURST;
  #at: number;
  #unlogged = 0;

  /** `now` in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#at = now();
  }

  next(): { unlogged?: number } | null {
    const refills = Math.floor((this.#now() - this.#at) / REFILL_MS);
    this.#left = Math.min(BURST, this.#left + refills);
    this.#at += refills * REFILL_MS;
    if (this.#left === 0) {
      this.#unlogged += 1;
      return null;
    }
    this.#left -= 1;
    const unlogged = this.#unlogged;
    this.#unlogged = 0;
    return unlogged === 0 ? {} : { unlogged };
  }
}
