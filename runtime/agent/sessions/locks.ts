import { ConvocateError, type SessionId } from "../../domain/index.js";
import { timestamp, type Clock } from "../clock.js";

export interface Held {
  operation: string;
  since: string;
}

/** How long a second operation waits for the first (SPEC 6.3). */
export const LOCK_WAIT_MS = 10_000;
/** More waiters than that on one session is a client gone wild. */
const MAX_WAITERS = 64;

/** One operation on a session at a time; different sessions side by side. Held in memory, so a crash leaves none stale. */
export class Locks {
  readonly #clock: Clock;
  readonly #waitMs: number;
  readonly #held = new Map<SessionId, Held & { released: Promise<void> }>();
  readonly #waiters = new Map<SessionId, number>();

  constructor(clock: Clock, waitMs = LOCK_WAIT_MS) {
    this.#clock = clock;
    this.#waitMs = waitMs;
  }

  /** The operation in flight, if any. */
  holder(id: SessionId): Held | undefined {
    return this.#held.get(id);
  }

  /** Runs work alone on this session. Throws SESSION_LOCKED when another operation did not end in time. */
  async run<T>(id: SessionId, operation: string, work: () => Promise<T>): Promise<T> {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const take = (): void => void this.#held.set(id, { operation, since: timestamp(this.#clock), released });
    await this.#whenFree(id, operation, take);
    try {
      return await work();
    } finally {
      this.#held.delete(id);
      release();
    }
  }

  /** Resolves when no operation is in flight on the session; throws SESSION_LOCKED after the wait. */
  async idle(id: SessionId, wanted: string): Promise<void> {
    await this.#whenFree(id, wanted, () => undefined);
  }

  /** Calls `act` in the same turn in which the session was seen to be free, so that nobody comes between. */
  async #whenFree(id: SessionId, wanted: string, act: () => void): Promise<void> {
    if (!this.#held.has(id)) {
      act();
      return;
    }
    const waiting = this.#waiters.get(id) ?? 0;
    if (waiting >= MAX_WAITERS) throw this.#locked(id, wanted);
    this.#waiters.set(id, waiting + 1);
    const over = new AbortController();
    const late = this.#clock.sleep(this.#waitMs, over.signal).then(
      () => true,
      () => true,
    );
    try {
      for (let held = this.#held.get(id); held; held = this.#held.get(id)) {
        const isLate = await Promise.race([held.released.then(() => false), late]);
        if (isLate && this.#held.has(id)) throw this.#locked(id, wanted);
      }
      act();
    } finally {
      over.abort();
      const left = (this.#waiters.get(id) ?? 1) - 1;
      if (left === 0) this.#waiters.delete(id);
      else this.#waiters.set(id, left);
    }
  }

  #locked(id: SessionId, wanted: string): ConvocateError {
    const operation = this.#held.get(id)?.operation ?? "an operation";
    return new ConvocateError(
      "SESSION_LOCKED",
      `session ${id} is busy with ${operation}, so ${wanted} was not begun: try again in a moment`,
    );
  }
}
