import { setTimeout as delay } from "node:timers/promises";

/** Time as the agent sees it; tests bring their own. */
export interface Clock {
  /** Milliseconds since 1970, for people and for what others wrote down: somebody may set it, back or forth. */
  now(): number;
  /** Milliseconds since a moment of its own, for how long something takes: nobody sets it. */
  monotonicMs(): number;
  /** Rejects when the signal is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `act` in so many milliseconds, unless what this gives is disposed of before. */
  after(ms: number, act: () => void): Disposable;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, signal ? { signal } : {}),
  after: (ms, act) => setTimeout(act, ms),
};

/** The work's outcome, or, where it has none within `ms`, what `late` gives or throws. The work goes on. */
export async function within<T>(clock: Clock, ms: number, work: Promise<T>, late: () => T): Promise<T> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = clock.after(ms, resolve);
  try {
    return await Promise.race([work, over.then(late)]);
  } finally {
    timer[Symbol.dispose]();
  }
}

export function timestamp(clock: Clock): string {
  return new Date(clock.now()).toISOString();
}
