import type { Clock } from "../clock.js";
import type { EventSink } from "./sink.js";

/** How long the shell may be away before the agent says so (SPEC 5.3). */
export const PEER_LOST_MS = 90_000;

/** Watches whether a shell is connected on tcp/222, and says on tcp/223 when none is: the cross-channel failure notice. */
export class PeerWatch {
  readonly #events: EventSink;
  readonly #clock: Clock;
  #connections = 0;
  #awaySince: number;
  #lost = false;

  constructor(events: EventSink, clock: Clock) {
    this.#events = events;
    this.#clock = clock;
    this.#awaySince = clock.monotonicMs();
  }

  connected(): void {
    this.#connections += 1;
    if (!this.#lost) return;
    this.#lost = false;
    this.#events.emit("agent.peer-back", null, { away_s: this.#awaySeconds() });
  }

  /** `silentMs`: how long nothing had come from it. A link that was lost without a word closes long after its last byte. */
  closed(silentMs: number): void {
    this.#connections = Math.max(0, this.#connections - 1);
    if (this.#connections === 0) this.#awaySince = this.#clock.monotonicMs() - silentMs;
  }

  /** To be called every few seconds. */
  check(): void {
    const awayMs = this.#clock.monotonicMs() - this.#awaySince;
    if (this.#lost || this.#connections > 0 || awayMs < PEER_LOST_MS) return;
    this.#lost = true;
    this.#events.emit("agent.peer-lost", null, { since: new Date(this.#clock.now() - awayMs).toISOString() });
  }

  #awaySeconds(): number {
    return Math.round((this.#clock.monotonicMs() - this.#awaySince) / 1000);
  }
}
