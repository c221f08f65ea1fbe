import { HeartbeatData, StartedData, type AgentEvent, type AgentId, type AgentStatus } from "../../domain/index.js";

/** No heartbeat for so long makes a connected agent silent (SPEC 5.3: one comes every 30 s). */
export const SILENT_AFTER_MS = 90_000;

interface Known {
  status: AgentStatus;
  /** Open `convocate-status` channels; two while an agent redials before its dead connection is noticed. */
  channels: number;
  /** Monotonic time of the last sign of life, in ms. */
  heardAtMs: number;
}

/**
 * Who is there, and what each said of itself last. Pure state: every method returns the statuses it changed, the caller
 * stores and publishes them. Times are the shell's own, so that an agent with a wrong clock is not taken for dead.
 */
export class Presence {
  readonly #agents = new Map<AgentId, Known>();
  readonly #now: () => Date;
  readonly #monotonicMs: () => number;

  constructor(known: readonly AgentStatus[], clock: { now?: () => Date; monotonicMs?: () => number } = {}) {
    this.#now = clock.now ?? (() => new Date());
    this.#monotonicMs = clock.monotonicMs ?? (() => performance.now());
    for (const status of known) {
      // After a restart of our own nobody is connected yet, whatever was true when the state was written.
      const since = status.connection === "silent" ? status.since : this.#now().toISOString();
      this.#add({ ...status, connection: "silent", since });
    }
  }

  all(): AgentStatus[] {
    return [...this.#agents.values()].map((known) => known.status);
  }

  /** Agents that may dial now. New ones are silent from the start, those no longer listed are forgotten. */
  setRoster(ids: ReadonlySet<AgentId>): { added: AgentStatus[]; forgotten: AgentId[] } {
    const forgotten = [...this.#agents.keys()].filter((id) => !ids.has(id));
    for (const id of forgotten) this.#agents.delete(id);
    const added = [...ids].filter((id) => !this.#agents.has(id)).map((id) => this.#get(id).status);
    return { added, forgotten };
  }

  opened(id: AgentId): AgentStatus {
    const known = this.#get(id);
    known.channels += 1;
    known.heardAtMs = this.#monotonicMs();
    return this.#set(known, { connection: "connected", since: this.#now().toISOString() });
  }

  /** Null when another channel of that agent is still open, or the agent is forgotten already. */
  closed(id: AgentId): AgentStatus | null {
    const known = this.#agents.get(id);
    if (!known) return null;
    known.channels = Math.max(0, known.channels - 1);
    if (known.channels > 0 || known.status.connection === "silent") return null;
    return this.#set(known, { connection: "silent", since: this.#now().toISOString() });
  }

  /** Takes what an event says about its agent; null when that is nothing, or the agent has been forgotten meanwhile. */
  heard(event: AgentEvent): AgentStatus | null {
    const known = this.#agents.get(event.agent_id);
    if (!known) return null;
    const now = this.#now().toISOString();
    if (event.type === "agent.heartbeat") {
      known.heardAtMs = this.#monotonicMs();
      const back = known.channels > 0 && known.status.connection === "silent";
      const data = HeartbeatData.safeParse(event.data);
      return this.#set(known, {
        last_heartbeat_at: now,
        ...(back ? { connection: "connected", since: now } : {}),
        ...(data.success ? pick(data.data) : {}),
        ...(data.success ? { sessions: data.data.sessions } : {}),
      });
    }
    switch (event.type) {
      case "agent.started": {
        const data = StartedData.safeParse(event.data);
        // Its watch over our connection to it begins anew.
        return this.#set(known, { ...(data.success ? pick(data.data) : {}), peer_lost_since: null });
      }
      case "agent.peer-lost":
        return this.#set(known, { peer_lost_since: event.timestamp });
      case "agent.peer-back":
        return this.#set(known, { peer_lost_since: null });
      default:
        return null;
    }
  }

  /** Agents that became silent because no heartbeat came for `SILENT_AFTER_MS`. */
  expire(): AgentStatus[] {
    const deadline = this.#monotonicMs() - SILENT_AFTER_MS;
    return [...this.#agents.values()]
      .filter((known) => known.status.connection === "connected" && known.heardAtMs <= deadline)
      .map((known) => this.#set(known, { connection: "silent", since: this.#now().toISOString() }));
  }

  #get(id: AgentId): Known {
    return (
      this.#agents.get(id) ??
      this.#add({
        agent_id: id,
        name: id,
        connection: "silent",
        since: this.#now().toISOString(),
        last_heartbeat_at: null,
        release: null,
        image: null,
        sessions: null,
        peer_lost_since: null,
      })
    );
  }

  #add(status: AgentStatus): Known {
    const known: Known = { status, channels: 0, heardAtMs: this.#monotonicMs() };
    this.#agents.set(status.agent_id, known);
    return known;
  }

  #set(known: Known, change: Partial<AgentStatus>): AgentStatus {
    known.status = { ...known.status, ...change };
    return known.status;
  }
}

function pick(data: { name: string; release: string; image: string | null }): Partial<AgentStatus> {
  return { name: data.name, release: data.release, image: data.image };
}
