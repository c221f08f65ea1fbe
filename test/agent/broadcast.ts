import { ConvocateError } from "../../runtime/domain/index.js";

/** Events to whoever listens at the moment, as Docker streams them: nothing is kept for those who come later. */
export class Broadcast<E> {
  readonly #listeners = new Set<(event: E | null) => void>();

  get listeners(): number {
    return this.#listeners.size;
  }

  tell(event: E): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Everybody's stream breaks, as when dockerd restarts. */
  end(): void {
    for (const listener of [...this.#listeners]) listener(null);
  }

  /** Calls `onOpen` once it listens. @throws ConvocateError DOCKER_ERROR when the stream breaks, or the signal ends it. */
  async *listen(signal: AbortSignal, onOpen: () => void): AsyncGenerator<E> {
    const queue: (E | null)[] = [];
    let wake: () => void = () => undefined;
    const listener = (event: E | null): void => {
      queue.push(event);
      wake();
    };
    const onAbort = (): void => listener(null);
    this.#listeners.add(listener);
    signal.addEventListener("abort", onAbort);
    onOpen();
    try {
      for (;;) {
        const event = queue.shift();
        if (event === null) throw new ConvocateError("DOCKER_ERROR", "Docker closed its event stream");
        if (event) yield event;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      this.#listeners.delete(listener);
      signal.removeEventListener("abort", onAbort);
    }
  }
}
