import { SUBSYSTEM, DnsName, type AgentEvent, type AgentId, type AgentList, type Session } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { RpcClient } from "../../protocol/rpc/client.js";
import type { SshConnection } from "../../protocol/ssh/types.js";
import type { NameAuthority } from "./authority.js";

/** Events come in bursts; one list answers for all of them. Where no name is at stake, there is time. */
const GATHER_MS = 100;
const GATHER_OTHERS_MS = 5000;
/** An agent that takes longer is asked by whoever wants to know, over a connection of their own. */
const ANSWER_TIMEOUT_MS = 700;
const NAMED = new Set(["container.created", "container.edited", "container.deleted"]);

/**
 * Asks each agent for its list when a connection comes up and after its events, and hands it on: to the name authority,
 * which hears a name in an event's own data at once, too, and to whoever keeps what was last known.
 */
export class SessionFollower implements Disposable {
  readonly #authority: NameAuthority;
  readonly #onListed: (id: AgentId, sessions: readonly Session[]) => void;
  readonly #log: Log;
  readonly #clients = new Map<AgentId, RpcClient>();
  readonly #timers = new Map<AgentId, { names: boolean; timer: NodeJS.Timeout }>();

  constructor(authority: NameAuthority, onListed: (id: AgentId, sessions: readonly Session[]) => void, log: Log) {
    this.#authority = authority;
    this.#onListed = onListed;
    this.#log = log;
  }

  /** A connection to an agent is up, until it closes. */
  async connected(id: AgentId, connection: SshConnection): Promise<void> {
    const channel = await connection.openSubsystem(SUBSYSTEM.rpc);
    const client = new RpcClient(channel.stream);
    this.#clients.set(id, client);
    void channel.closed.then(() => {
      if (this.#clients.get(id) === client) this.#clients.delete(id);
    });
    await this.#list(id);
  }

  heard(event: AgentEvent): void {
    if (!event.session_id) return;
    const { agent_id: id, session_id: session } = event;
    const names = NAMED.has(event.type);
    if (names) {
      const name =
        event.type === "container.deleted" ? null : DnsName.nullable().safeParse(event.data["dns_name"]).data;
      if (name !== undefined) this.#authority.sessionNamed(id, session, name);
    }
    const planned = this.#timers.get(id);
    if (planned && (planned.names || !names)) return;
    clearTimeout(planned?.timer);
    const list = (): void => {
      this.#timers.delete(id);
      void this.#list(id);
    };
    this.#timers.set(id, { names, timer: setTimeout(list, names ? GATHER_MS : GATHER_OTHERS_MS) });
  }

  /** What each agent that is connected lists now, as they answer; who does not in a moment is left out. */
  async *listNow(): AsyncGenerator<AgentList> {
    const asked = new Map([...this.#clients].map(([id, client]) => [id, ask(id, client)]));
    while (asked.size > 0) {
      const { id, list } = await Promise.race(asked.values());
      asked.delete(id);
      if (list) yield list;
    }
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  async #list(id: AgentId): Promise<void> {
    const client = this.#clients.get(id);
    if (!client) return;
    try {
      const { sessions } = await client.call("list", {});
      // One that moved away is its new agent's to name.
      this.#authority.sessionsOf(
        id,
        sessions.filter(({ moved_to }) => moved_to === undefined),
      );
      this.#onListed(id, sessions);
    } catch (error) {
      // The next event or connection asks again; until then the events' own data stand.
      this.#log.warn({ agent_id: id, error: String(error) }, "cannot ask the agent for its sessions' names");
    }
  }
}

async function ask(id: AgentId, client: RpcClient): Promise<{ id: AgentId; list: AgentList | null }> {
  try {
    const inTime = { timeoutMs: ANSWER_TIMEOUT_MS };
    const [{ agent_id, release, image }, { sessions }] = await Promise.all([
      client.call("ping", {}, inTime),
      client.call("list", {}, inTime),
    ]);
    return { id, list: agent_id === id ? { kind: "list", agent_id, release, image, sessions } : null };
  } catch {
    // Whoever asks finds out why when it dials.
    return { id, list: null };
  }
}
