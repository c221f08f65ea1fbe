import type { Clock } from "../clock.js";

/** How long an answer is given again, and how many are kept. */
const KEEP_MS = 600_000;
const MAX_KEPT = 1024;

interface Given {
  /** Null while the work is under way. */
  at: number | null;
  answer: Promise<unknown>;
}

/** What requests were answered with, so that one that is sent again is not done again. A failure is forgotten at once. */
export class Answers {
  readonly #clock: Clock;
  readonly #given = new Map<string, Given>();

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
    const answer = work();
    const mine: Given = { at: null, answer };
    this.#given.set(key, mine);
    try {
      const given = await answer;
      mine.at = this.#clock.monotonicMs();
      return given;
    } catch (error) {
      if (this.#given.get(key) === mine) this.#given.delete(key);
      throw error;
    }
  }

  #forgetOld(): void {
    const since = this.#clock.monotonicMs() - KEEP_MS;
    for (const [key, { at }] of this.#given) {
      // Forgotten while it is under way, it would be done twice. Of that there is no more than clients have asked and wait for.
      if (at !== null && (at < since || this.#given.size >= MAX_KEPT)) this.#given.delete(key);
    }
  }
}
