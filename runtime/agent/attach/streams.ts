import { ConvocateError, type SessionId } from "../../domain/index.js";
import type { Clock } from "../clock.js";

/** How long the number of bytes taken is remembered after a stream's connection went. */
export const REMEMBER_MS = 10 * 60_000;
export const MAX_STREAMS = 1024;

interface Entry {
  taken: number;
  /** Ends the connection that serves the stream now, and resolves once it takes no more. */
  end: (() => Promise<void>) | null;
  leftAt: number;
}

/** One connection's hold on a stream. */
export interface StreamClaim {
  /** Input bytes that reached the session before this connection; null when the stream is new here. */
  readonly taken: number | null;
  /** Counts bytes that reached the session; answers with the sum. */
  add(bytes: number): number;
  release(): void;
}

/**
 * What framed clients' input streams (SPEC 5.2) have brought so far, so that one that comes back sends exactly the rest. At
 * most one connection serves a stream: a new one ends the old one first, so nothing is taken twice.
 */
export class InputStreams {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock, max = MAX_STREAMS) {
    this.#clock = clock;
    this.#max = max;
  }

  /** Takes a stream over. A stream belongs to its session: the same name for another is another stream. */
  async claim(session: SessionId, stream: string, end: () => Promise<void>): Promise<StreamClaim> {
    const key = `${session} ${stream}`;
    this.#forgetOld();
    for (let current = this.#entries.get(key)?.end; current; current = this.#entries.get(key)?.end) {
      await current();
      // Whoever was ended lets go by itself; a third that came meanwhile is ended in its turn.
      const entry = this.#entries.get(key);
      if (entry?.end === current) entry.end = null;
    }
    let entry = this.#entries.get(key);
    const taken = entry?.taken ?? null;
    if (!entry) {
      this.#makeRoom();
      entry = { taken: 0, end, leftAt: 0 };
      this.#entries.set(key, entry);
    }
    const mine = entry;
    mine.end = end;
    return {
      taken,
      add: (bytes) => (mine.taken += bytes),
      release: () => {
        if (mine.end !== end) return;
        mine.end = null;
        mine.leftAt = this.#clock.monotonicMs();
      },
    };
  }

  get size(): number {
    return this.#entries.size;
  }

  #forgetOld(): void {
    const now = this.#clock.monotonicMs();
    for (const [key, entry] of this.#entries) {
      if (!entry.end && now - entry.leftAt > REMEMBER_MS) this.#entries.delete(key);
    }
  }

  #makeRoom(): void {
    if (this.#entries.size < this.#max) return;
    let oldest: [string, Entry] | null = null;
    for (const one of this.#entries) if (!one[1].end && (!oldest || one[1].leftAt < oldest[1].leftAt)) oldest = one;
    if (!oldest) {
      throw new ConvocateError("REFUSED", `${this.#max} attaches are open on this agent: end one of them first`);
    }
    this.#entries.delete(oldest[0]);
  }
}
