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
  /** The wait for it to be lost. */
  #wait: Disposable | undefined;
  #over = false;

  constructor(events: EventSink, clock: Clock) {
    this.#events = events;
    this.#clock = clock;
    this.#awaySince = clock.monotonicMs();
    this.#lostIn(PEER_LOST_MS);
  }

  connected(): void {
    this.#connections += 1;
    this.#wait?.[Symbol.dispose]();
    if (!this.#lost) return;
    this.#lost = false;
    this.#events.emit("agent.peer-back", null, { away_s: Math.round(this.#awayMs() / 1000) });
  }

  /** `silentMs`: how long nothing had come from it. A link that was lost without a word closes long after its last byte. */
  closed(silentMs: number): void {
    this.#connections = Math.max(0, this.#connections - 1);
    if (this.#connections > 0) return;
    this.#awaySince = this.#clock.monotonicMs() - silentMs;
    this.#lostIn(PEER_LOST_MS - silentMs);
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#wait?.[Symbol.dispose]();
  }

  #lostIn(ms: number): void {
    this.#wait?.[Symbol.dispose]();
    if (this.#over) return;
    this.#wait = this.#clock.after(Math.max(0, ms), () => {
      this.#lost = true;
      const since = new Date(this.#clock.now() - this.#awayMs()).toISOString();
      this.#events.emit("agent.peer-lost", null, { since });
    });
  }

  #awayMs(): number {
    return this.#clock.monotonicMs() - this.#awaySince;
  }
}
