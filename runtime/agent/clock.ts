import { setTimeout as delay } from "node:timers/promises";

/** Time as the agent sees it; tests bring their own. */
export interface Clock {
  /** Milliseconds since 1970, for people and for what others wrote down: somebody may set it, back or forth. */
  now(): number;
  /** Milliseconds since a moment of its own, for how long something takes: nobody sets it. */
  monotonicMs(): number;
  /** Rejects when the signal is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, signal ? { signal } : {}),
};

export function timestamp(clock: Clock): string {
  return new Date(clock.now()).toISOString();
}
