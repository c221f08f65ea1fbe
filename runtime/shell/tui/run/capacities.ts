import type { AgentId, Capacity } from "../../../domain/index.js";
import type { Cluster } from "../../cluster.js";

/** As often as everything else is refreshed (SPEC 11). */
const EVERY_MS = 15_000;
/** After an operation, so that the bars follow what was done; several operations in one. */
const SOON_MS = 1000;

/**
 * Asks every agent that answers for its capacity, each at most once at a time, so that a hung one costs one question. An
 * agent that cannot say it (an older release) has none.
 */
export class Capacities implements Disposable {
  readonly #cluster: Cluster;
  readonly #tell: (agent: AgentId, capacity: Capacity | null) => void;
  readonly #asked = new Map<AgentId, number>();
  readonly #asking = new Set<AgentId>();
  #soon: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(cluster: Cluster, tell: (agent: AgentId, capacity: Capacity | null) => void) {
    this.#cluster = cluster;
    this.#tell = tell;
  }

  /** To be called at every change and every second: asks those whose turn it is. */
  look(nowMs: number): void {
    for (const { id, connection } of this.#cluster.agents()) {
      // One that comes back is asked at once.
      if (connection.state !== "connected") this.#asked.delete(id);
      else if (nowMs - (this.#asked.get(id) ?? -Infinity) >= EVERY_MS) this.#ask(id, nowMs);
    }
  }

  /** Something was done that changes what agents have promised. */
  soon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = null;
      this.#asked.clear();
    }, SOON_MS);
  }

  #ask(id: AgentId, nowMs: number): void {
    if (this.#asking.has(id)) return;
    this.#asked.set(id, nowMs);
    this.#asking.add(id);
    void this.#cluster
      .capacity(id)
      .catch(() => null)
      .then((capacity) => {
        this.#asking.delete(id);
        if (!this.#closed) this.#tell(id, capacity);
      });
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    if (this.#soon) clearTimeout(this.#soon);
  }
}
