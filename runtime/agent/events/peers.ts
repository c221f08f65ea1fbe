import type { Clock } from "../clock.js";
import type { EventSink } from "./sink.js";

/** How long the shell may be away before the agent says so (SPEC 5.3). */
export const PEER_LOST_MS = 90_000;

/** Watches whether a shell is connected on tcp/222, and says on tcp/223 when none is: the cross-channel failure notice. */
export class PeerWatch implements Disposable {
  readonly #events: EventSink;
  readonly #clock: Clock;
  #connections = 0;
  #awaySince: number;
  #lost = false;
  /** Ends the wait for it to be lost. */
  #back = new AbortController();
  #over = false;

  constructor(events: EventSink, clock: Clock) {
    this.#events = events;
    this.#clock = clock;
    this.#awaySince = clock.monotonicMs();
    this.#wait(PEER_LOST_MS);
  }

  connected(): void {
    this.#connections += 1;
    this.#back.abort();
    if (!this.#lost) return;
    this.#lost = false;
    this.#events.emit("agent.peer-back", null, { away_s: Math.round(this.#awayMs() / 1000) });
  }

  /** `silentMs`: how long nothing had come from it. A link that was lost without a word closes long after its last byte. */
  closed(silentMs: number): void {
    this.#connections = Math.max(0, this.#connections - 1);
    if (this.#connections > 0) return;
    this.#awaySince = this.#clock.monotonicMs() - silentMs;
    this.#wait(PEER_LOST_MS - silentMs);
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#back.abort();
  }

  #wait(ms: number): void {
    this.#back.abort();
    if (this.#over) return;
    this.#back = new AbortController();
    this.#clock.sleep(Math.max(0, ms), this.#back.signal).then(
      () => {
        this.#lost = true;
        const since = new Date(this.#clock.now() - this.#awayMs()).toISOString();
        this.#events.emit("agent.peer-lost", null, { since });
      },
      () => undefined,
    );
  }

  #awayMs(): number {
    return this.#clock.monotonicMs() - this.#awaySince;
  }
}
