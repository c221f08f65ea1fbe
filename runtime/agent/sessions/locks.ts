import { ConvocateError, type SessionId } from "../../domain/index.js";
import { timestamp, within, type Clock } from "../clock.js";
import type { LockFiles, LockRecord } from "./lock-files.js";

export interface Held {
  operation: string;
  since: string;
  /** Nobody works on it any more. */
  stale?: boolean;
}

/** How long a second operation waits for the first; its answer must come within 10 s (SPEC 6.3). */
export const LOCK_WAIT_MS = 8_000;
/** More waiters than that on one session is a client gone wild. */
const MAX_WAITERS = 64;
/** What only its own repetition may go on with: a session half taken away is not to be started. */
const MUST_BE_FINISHED = new Set(["delete", "move"]);

/**
 * One operation on a session at a time; different sessions side by side. Held in memory, and noted on disk, so that an agent
 * that comes after a crash knows what was interrupted: a stale lock, which the next operation takes over.
 */
export class Locks {
  readonly #clock: Clock;
  readonly #waitMs: number;
  readonly #files: LockFiles | null;
  readonly #held = new Map<SessionId, Held & { released: Promise<void>; release: () => void }>();
  /** Of agents before this one. */
  readonly #left = new Map<SessionId, LockRecord>();
  readonly #waiters = new Map<SessionId, number>();
  /** Who reads what a delete or a move would take away. */
  readonly #shared = new Map<SessionId, { operation: string; count: number }>();

  constructor(clock: Clock, waitMs = LOCK_WAIT_MS, files: LockFiles | null = null) {
    this.#clock = clock;
    this.#waitMs = waitMs;
    this.#files = files;
  }

  /** Takes in what earlier agents left. */
  leave(record: LockRecord): void {
    this.#left.set(record.id, record);
  }

  /** The operation in flight or interrupted, if any. */
  holder(id: SessionId): Held | undefined {
    const held = this.#held.get(id);
    if (held) return { operation: held.operation, since: held.since };
    const left = this.#left.get(id);
    return left && { operation: left.operation, since: left.since, stale: this.#isStale(left) };
  }

  /**
   * Runs work alone on this session. Throws SESSION_LOCKED when another operation did not end in time, or one was
   * interrupted that only its repetition can go on with. `note` is kept with the lock, for whoever finds it after a crash.
   */
  async run<T>(
    id: SessionId,
    operation: string,
    work: () => Promise<T>,
    note: Record<string, unknown> = {},
  ): Promise<T> {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const mine = { operation, since: timestamp(this.#clock), released, release };
    await this.#whenFree(id, operation, () => void this.#held.set(id, mine));
    const left = this.#left.get(id);
    this.#left.delete(id);
    try {
      await this.#note({ id, operation, since: mine.since, note });
      const result = await work();
      await this.#unnote(id, mine);
      return result;
    } catch (error) {
      const unfinished = left && MUST_BE_FINISHED.has(left.operation) ? left : null;
      if (unfinished) this.#left.set(id, unfinished);
      await this.#unnote(id, mine, unfinished);
      throw error;
    } finally {
      if (this.#held.get(id) === mine) this.#held.delete(id);
      release();
    }
  }

  /** Reads a session beside whatever is done with it, but not while it is taken away: that is refused meanwhile. */
  async share<T>(id: SessionId, operation: string, work: () => Promise<T>): Promise<T> {
    let mine = { operation, count: 0 };
    await this.#whenFree(id, operation, () => {
      mine = this.#shared.get(id) ?? mine;
      mine.count += 1;
      this.#shared.set(id, mine);
    });
    try {
      return await work();
    } finally {
      mine.count -= 1;
      if (mine.count === 0) this.#shared.delete(id);
    }
  }

  /** Resolves when no operation is in flight on the session; throws SESSION_LOCKED after the wait. */
  async idle(id: SessionId, wanted: string): Promise<void> {
    await this.#whenFree(id, wanted, () => undefined);
  }

  /**
   * Clears a stale lock, or with `force` a live one, whose operation goes on unguarded; nothing when there is none. `undo`
   * runs alone on the session while the lock is cleared. Throws SESSION_LOCKED.
   */
  async clear(id: SessionId, force: boolean, undo: (operation: string) => Promise<void>): Promise<void> {
    const holder = this.holder(id);
    if (!holder) return;
    if (!holder.stale && !force) {
      throw new ConvocateError(
        "SESSION_LOCKED",
        `${holder.operation} of session ${id} is in flight since ${holder.since}: wait for it, or clear its lock with ` +
          `override --force`,
      );
    }
    const held = this.#held.get(id);
    const left = this.#left.get(id);
    this.#held.delete(id);
    this.#left.delete(id);
    held?.release();
    try {
      await this.run(id, "override", () => undo(holder.operation));
    } catch (error) {
      if (left) this.#left.set(id, left);
      throw error;
    }
  }

  /** Waits for the operations in flight, for so long at most: an agent that stops leaves no lock without need. */
  async settled(timeoutMs: number): Promise<void> {
    const all = Promise.all([...this.#held.values()].map(({ released }) => released));
    await within<unknown>(this.#clock, timeoutMs, all, () => undefined);
  }

  /** Calls `act` in the same turn in which the session was seen to be free, so that nobody comes between. */
  async #whenFree(id: SessionId, wanted: string, act: () => void): Promise<void> {
    if (this.#held.has(id)) await this.#wait(id, wanted, act);
    else this.#take(id, wanted, act);
  }

  #take(id: SessionId, wanted: string, act: () => void): void {
    const left = this.#left.get(id);
    if (left && !this.#isStale(left)) throw this.#locked(id, wanted, left.operation);
    if (left && MUST_BE_FINISHED.has(left.operation) && left.operation !== wanted) {
      throw new ConvocateError(
        "SESSION_LOCKED",
        `${left.operation} of session ${id} was interrupted, so ${wanted} was not begun: finish it with ` +
          `${left.operation}, or take it back with override`,
      );
    }
    const shared = this.#shared.get(id);
    if (shared && MUST_BE_FINISHED.has(wanted)) throw this.#locked(id, wanted, shared.operation);
    act();
  }

  async #wait(id: SessionId, wanted: string, act: () => void): Promise<void> {
    const waiting = this.#waiters.get(id) ?? 0;
    if (waiting >= MAX_WAITERS) throw this.#locked(id, wanted);
    this.#waiters.set(id, waiting + 1);
    const untilMs = this.#clock.monotonicMs() + this.#waitMs;
    try {
      for (let held = this.#held.get(id); held; held = this.#held.get(id)) {
        const leftMs = Math.max(0, untilMs - this.#clock.monotonicMs());
        const isLate = await within(
          this.#clock,
          leftMs,
          held.released.then(() => false),
          () => true,
        );
        if (isLate && this.#held.has(id)) throw this.#locked(id, wanted);
      }
      this.#take(id, wanted, act);
    } finally {
      const left = (this.#waiters.get(id) ?? 1) - 1;
      if (left === 0) this.#waiters.delete(id);
      else this.#waiters.set(id, left);
    }
  }

  #isStale(left: LockRecord): boolean {
    return !this.#files?.owners.alive(left.process);
  }

  async #note(record: Omit<LockRecord, "process">): Promise<void> {
    if (this.#files) await this.#files.write({ ...record, process: this.#files.owners.self });
  }

  /** Unless it was cleared by force, and another operation may have begun. */
  async #unnote(id: SessionId, mine: Held, unfinished: LockRecord | null = null): Promise<void> {
    if (this.#held.get(id) !== mine) return;
    if (unfinished) await this.#files?.write(unfinished);
    else await this.#files?.remove(id);
  }

  #locked(id: SessionId, wanted: string, by = this.#held.get(id)?.operation ?? "an operation"): ConvocateError {
    return new ConvocateError(
      "SESSION_LOCKED",
      `session ${id} is busy with ${by}, so ${wanted} was not begun: try again in a moment`,
    );
  }
}
