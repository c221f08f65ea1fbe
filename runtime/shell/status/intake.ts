import type { AgentEvent, AgentId, AgentStatus, FeedLine, StoreState } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import type { Presence } from "./presence.js";
import type { StatusStore } from "./store.js";

/** Events, and their bytes, that wait for a commit per channel; beyond, its reader waits and TCP holds the agent back. */
const PENDING_EVENTS = 1000;
const PENDING_BYTES = 4 * 1024 * 1024;

/** Lines committed and published in one turn; in between, readers of the feed get a chance to read. */
const BATCH_BYTES = 256 * 1024;

/** How soon a store that failed (a full disk, most likely) is tried again. */
const RETRY_MS = 1000;

/** Where a channel's events come from and its acknowledgements go. */
export interface Source {
  readonly agentId: AgentId;
  /** Called after the commit with the highest number in it. */
  committed(seq: number): void;
}

interface Pending {
  source: Source;
  event: AgentEvent;
  bytes: number;
}

/**
 * The one writer: collects the events of all channels and commits what has gathered in one transaction per turn of the
 * event loop, then acknowledges, then publishes. Order within a channel is kept. While the store fails, events wait here and
 * in the agents' spools, nothing is acknowledged, and who is alive is published all the same.
 */
export class Intake implements Disposable {
  readonly #store: StatusStore;
  readonly #presence: Presence;
  readonly #publish: (line: FeedLine) => void;
  readonly #onKept: (event: AgentEvent) => void;
  readonly #log: Log;
  readonly #now: () => Date;
  #pending: Pending[] = [];
  readonly #unsaved = new Map<AgentId, AgentStatus>();
  readonly #waiting = new Map<Source, { events: number; bytes: number }>();
  #scheduled: NodeJS.Immediate | null = null;
  #retry: NodeJS.Timeout | null = null;
  #state: StoreState = { state: "ok" };
  #waiters: (() => void)[] = [];

  constructor(options: {
    store: StatusStore;
    presence: Presence;
    publish: (line: FeedLine) => void;
    /** Called for each new event, once it is kept. */
    onKept?: (event: AgentEvent) => void;
    log: Log;
    now?: () => Date;
  }) {
    this.#store = options.store;
    this.#presence = options.presence;
    this.#publish = options.publish;
    this.#onKept = options.onKept ?? (() => undefined);
    this.#log = options.log;
    this.#now = options.now ?? (() => new Date());
  }

  get storeState(): StoreState {
    return this.#state;
  }

  /** Takes one event of a line of so many bytes; resolves once there is room for the channel's next one, or `signal` ends. */
  async add(source: Source, event: AgentEvent, bytes: number, signal?: AbortSignal): Promise<void> {
    const status = this.#presence.heard(event);
    if (status) this.update([status]);
    if (event.type === "agent.heartbeat") return;
    this.#pending.push({ source, event, bytes });
    this.#count(source, 1, bytes);
    this.#schedule();
    while (this.#isFull(source) && !signal?.aborted)
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
        signal?.addEventListener("abort", () => resolve(), { once: true });
      });
  }

  /** Publishes changes of agents' states, and stores them with what is stored next. */
  update(statuses: readonly AgentStatus[]): void {
    for (const agent of statuses) {
      this.#unsaved.set(agent.agent_id, agent);
      this.#publish({ kind: "agent", agent });
    }
    if (statuses.length > 0) this.#schedule();
  }

  /** An agent that is not known any more; its events stay until they age out. */
  forget(id: AgentId): void {
    this.#unsaved.delete(id);
    try {
      this.#store.forgetAgent(id);
    } catch (error) {
      this.#log.warn({ agent_id: id, error: String(error) }, "cannot take the agent out of the store now");
    }
  }

  /** Commits all that waits, now; what cannot be committed of `ended` is let go: its agent sends it again. */
  flush(ended?: Source): void {
    while (this.#hasWork() && this.#turn());
    if (!ended) return;
    this.#pending = this.#pending.filter(({ source }) => source !== ended);
    this.#waiting.delete(ended);
  }

  [Symbol.dispose](): void {
    if (this.#scheduled) clearImmediate(this.#scheduled);
    if (this.#retry) clearTimeout(this.#retry);
    this.flush();
  }

  #hasWork(): boolean {
    return this.#pending.length > 0 || this.#unsaved.size > 0;
  }

  #isFull(source: Source): boolean {
    const { events, bytes } = this.#waiting.get(source) ?? { events: 0, bytes: 0 };
    return events >= PENDING_EVENTS || bytes >= PENDING_BYTES;
  }

  #count(source: Source, events: number, bytes: number): void {
    const before = this.#waiting.get(source) ?? { events: 0, bytes: 0 };
    const now = { events: before.events + events, bytes: before.bytes + bytes };
    if (now.events > 0) this.#waiting.set(source, now);
    else this.#waiting.delete(source);
  }

  #schedule(): void {
    if (this.#retry) return;
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = null;
      if (this.#turn()) {
        if (this.#hasWork()) this.#schedule();
        return;
      }
      this.#retry = setTimeout(() => {
        this.#retry = null;
        this.#schedule();
      }, RETRY_MS);
    });
  }

  /** Commits one batch; false when the store failed, and nothing has changed. */
  #turn(): boolean {
    let bytes = 0;
    let count = 0;
    while (count < this.#pending.length && bytes < BATCH_BYTES) bytes += this.#pending[count++]?.bytes ?? 0;
    const batch = this.#pending.slice(0, count);
    const statuses = [...this.#unsaved.values()];
    let kept: FeedLine[];
    try {
      kept = this.#commit(batch, statuses);
    } catch (error) {
      this.#failed(error);
      return false;
    }
    this.#works();
    this.#pending.splice(0, count);
    for (const status of statuses)
      if (this.#unsaved.get(status.agent_id) === status) this.#unsaved.delete(status.agent_id);
    const acks = new Map<Source, number>();
    for (const { source, event, bytes: size } of batch) {
      this.#count(source, -1, -size);
      acks.set(source, Math.max(acks.get(source) ?? 0, event.seq));
    }
    for (const [source, seq] of acks) source.committed(seq);
    for (const line of kept) {
      this.#publish(line);
      if (line.kind === "event") this.#onKept(line.event);
    }
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
    return true;
  }

  #commit(batch: readonly Pending[], statuses: readonly AgentStatus[]): FeedLine[] {
    const now = this.#now();
    return this.#store.transaction(() => {
      const lines: FeedLine[] = [];
      for (const { event } of batch) {
        const stored = this.#store.addEvent(event, now.toISOString());
        if (stored.kind === "duplicate") continue;
        lines.push({ kind: "event", event, cursor: stored.cursor });
        if (stored.missing === 0) continue;
        const { agent_id, stream, seq } = event;
        this.#log.warn({ agent_id, stream, seq, missing: stored.missing }, "events are missing before this one");
      }
      for (const status of statuses) this.#store.saveAgent(status);
      return lines;
    }, now);
  }

  #failed(thrown: unknown): void {
    const error = thrown instanceof Error ? thrown.message : String(thrown);
    if (this.#state.state === "failing" && this.#state.error === error) return;
    const since = this.#state.state === "failing" ? this.#state.since : this.#now().toISOString();
    this.#state = { state: "failing", error, since };
    this.#log.error({ error }, "cannot store events: agents keep theirs; trying again every second");
    this.#publish({ kind: "store", store: this.#state });
  }

  #works(): void {
    if (this.#state.state === "ok") return;
    this.#state = { state: "ok" };
    this.#log.info({}, "events are stored again");
    this.#publish({ kind: "store", store: this.#state });
  }
}
