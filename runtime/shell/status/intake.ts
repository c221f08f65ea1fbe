import type { AgentEvent, AgentId, AgentStatus, FeedLine } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import type { Presence } from "./presence.js";
import type { StatusStore } from "./store.js";

/** Events that wait for a commit, per channel; its reader waits when there are more, which holds the agent back by TCP. */
export const PENDING_EVENTS = 1000;

/** Lines committed and published in one turn; in between, readers of the feed get a chance to read. */
const BATCH_BYTES = 256 * 1024;

/** Where a channel's events come from and its acknowledgements go. */
export interface Source {
  readonly agentId: AgentId;
  /** Called after the commit with the highest number in it. */
  committed(seq: number): void;
  /** The commit failed, so the event must come again: close the channel. */
  failed(error: unknown): void;
}

interface Pending {
  source: Source;
  event: AgentEvent;
  bytes: number;
}

/**
 * The one writer: collects the events of all channels and commits what has gathered in one transaction per turn of the
 * event loop, then acknowledges, then publishes. Order within a channel is kept.
 */
export class Intake {
  readonly #store: StatusStore;
  readonly #presence: Presence;
  readonly #publish: (line: FeedLine) => void;
  readonly #log: Log;
  readonly #now: () => Date;
  #pending: Pending[] = [];
  readonly #perSource = new Map<Source, number>();
  #scheduled: NodeJS.Immediate | null = null;
  #waiters: (() => void)[] = [];

  constructor(options: {
    store: StatusStore;
    presence: Presence;
    publish: (line: FeedLine) => void;
    log: Log;
    now?: () => Date;
  }) {
    this.#store = options.store;
    this.#presence = options.presence;
    this.#publish = options.publish;
    this.#log = options.log;
    this.#now = options.now ?? (() => new Date());
  }

  /** Takes one event of a line of so many bytes; resolves once there is room for the channel's next one. */
  async add(source: Source, event: AgentEvent, bytes: number): Promise<void> {
    this.#pending.push({ source, event, bytes });
    this.#perSource.set(source, (this.#perSource.get(source) ?? 0) + 1);
    this.#schedule();
    while ((this.#perSource.get(source) ?? 0) >= PENDING_EVENTS)
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Stores and publishes changes of agents' states that no event brought. */
  update(statuses: readonly AgentStatus[]): void {
    if (statuses.length === 0) return;
    try {
      this.#store.transaction(() => {
        for (const status of statuses) this.#store.saveAgent(status);
      });
    } catch (error) {
      // It is still true for who reads the feed; the next heartbeat stores it again.
      this.#log.error({ error: String(error) }, "cannot store the state of an agent");
    }
    for (const agent of statuses) this.#publish({ kind: "agent", agent });
  }

  /** Commits all that waits, now. */
  flush(): void {
    while (this.#pending.length > 0) this.#turn();
  }

  #schedule(): void {
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = null;
      this.#turn();
      if (this.#pending.length > 0) this.#schedule();
    });
  }

  #turn(): void {
    let bytes = 0;
    let count = 0;
    while (count < this.#pending.length && bytes < BATCH_BYTES) bytes += this.#pending[count++]?.bytes ?? 0;
    const batch = this.#pending.splice(0, count);
    for (const { source } of batch) {
      const left = (this.#perSource.get(source) ?? 0) - 1;
      if (left > 0) this.#perSource.set(source, left);
      else this.#perSource.delete(source);
    }
    if (batch.length > 0) this.#commit(batch);
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }

  #commit(batch: readonly Pending[]): void {
    const lines: FeedLine[] = [];
    const acks = new Map<Source, number>();
    const changed = new Map<AgentId, AgentStatus>();
    try {
      this.#store.transaction(() => {
        const receivedAt = this.#now().toISOString();
        for (const { source, event } of batch) {
          const status = this.#presence.heard(event);
          if (status) changed.set(status.agent_id, status);
          if (event.type === "agent.heartbeat") continue;
          acks.set(source, Math.max(acks.get(source) ?? 0, event.seq));
          const stored = this.#store.addEvent(event, receivedAt);
          if (stored.kind === "duplicate") continue;
          lines.push({ kind: "event", event });
          if (stored.missing > 0) {
            const { agent_id, stream, seq } = event;
            this.#log.warn({ agent_id, stream, seq, missing: stored.missing }, "events are missing before this one");
          }
        }
        for (const status of changed.values()) this.#store.saveAgent(status);
      });
    } catch (error) {
      this.#log.error(
        { error: String(error), events: batch.length },
        "cannot store events; agents will send them again",
      );
      for (const source of new Set(batch.map((pending) => pending.source))) source.failed(error);
      return;
    }
    for (const [source, seq] of acks) source.committed(seq);
    for (const agent of changed.values()) this.#publish({ kind: "agent", agent });
    for (const line of lines) this.#publish(line);
  }
}
