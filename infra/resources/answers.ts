/** Long enough for the reads of one refresh of many hosts, on a machine that is busy with them. */
const SHARED_MS = 10_000;

/** What several resources of one run want to know alike: asked once for all of them, and again when that is 10 s old. */
export class Answers {
  readonly #kept = new Map<string, { askedMs: number; answer: Promise<string> }>();

  /** The answer that is kept under that name, or else the question's. */
  ask(name: string, question: () => Promise<string>): Promise<string> {
    const kept = this.#kept.get(name);
    if (kept && performance.now() - kept.askedMs < SHARED_MS) return kept.answer;
    const answer = question();
    this.#kept.set(name, { askedMs: performance.now(), answer });
    return answer;
  }

  /** After a change that makes it another one. */
  forget(name: string): void {
    this.#kept.delete(name);
  }
}
