import type { Clock } from "../clock.js";

/** How long an answer is given again, and how many are kept. */
const KEEP_MS = 600_000;
const MAX_KEPT = 1024;

/** What requests were answered with, so that one that is sent again is not done again. A failure is forgotten at once. */
export class Answers {
  readonly #clock: Clock;
  readonly #given = new Map<string, { at: number; answer: Promise<unknown> }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#given.size;
  }

  /** Does the work, or joins it while it is under way, or gives its result again. A key belongs to one kind of work. */
  async once<T>(key: string, work: () => Promise<T>): Promise<T> {
    this.#forgetOld();
    const before = this.#given.get(key);
    if (before) return (await before.answer) as T;
    const mine = { at: this.#clock.now(), answer: work() };
    this.#given.set(key, mine);
    try {
      return await mine.answer;
    } catch (error) {
      if (this.#given.get(key) === mine) this.#given.delete(key);
      throw error;
    }
  }

  #forgetOld(): void {
    const since = this.#clock.now() - KEEP_MS;
    for (const [key, { at }] of this.#given) {
      if (at >= since && this.#given.size < MAX_KEPT) return;
      this.#given.delete(key);
    }
  }
}
