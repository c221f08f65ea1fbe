import type { Clock } from "../../runtime/agent/clock.js";

interface Sleeper {
  until: number;
  wake: () => void;
}

/** Time that stands still until a test moves it. */
export class ManualClock implements Clock {
  #now = Date.parse("2026-11-21T12:00:00.000Z");
  #setMs = 0;
  #sleepers: Sleeper[] = [];

  now(): number {
    return this.#now + this.#setMs;
  }

  monotonicMs(): number {
    return this.#now;
  }

  /** Somebody sets the host's clock. */
  set(byMs: number): void {
    this.#setMs += byMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { until: this.#now + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers = this.#sleepers.filter((one) => one !== sleeper);
        reject(new Error("aborted"));
      });
    });
  }

  after(ms: number, act: () => void): Disposable {
    const sleeper = { until: this.#now + ms, wake: act };
    this.#sleepers.push(sleeper);
    return { [Symbol.dispose]: () => void (this.#sleepers = this.#sleepers.filter((one) => one !== sleeper)) };
  }

  /** Moves time on and lets whoever wakes up run. */
  async advance(ms: number): Promise<void> {
    this.#now += ms;
    const due = this.#sleepers.filter((one) => one.until <= this.#now);
    this.#sleepers = this.#sleepers.filter((one) => one.until > this.#now);
    for (const one of due) one.wake();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
