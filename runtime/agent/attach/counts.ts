import type { SessionId } from "../../domain/index.js";

/** How many attaches each session has now. */
export class AttachCounts {
  readonly #bySession = new Map<SessionId, number>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  of(id: SessionId): number {
    return this.#bySession.get(id) ?? 0;
  }

  /** Counts one more, until the call it returns. */
  enter(id: SessionId): () => void {
    this.#total += 1;
    this.#bySession.set(id, this.of(id) + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#total -= 1;
      const count = this.of(id) - 1;
      if (count === 0) this.#bySession.delete(id);
      else this.#bySession.set(id, count);
    };
  }
}
