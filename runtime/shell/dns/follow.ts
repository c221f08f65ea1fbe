import { SUBSYSTEM, DnsName, type AgentEvent, type AgentId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { RpcClient } from "../../protocol/rpc/client.js";
import type { SshConnection } from "../../protocol/ssh/types.js";
import type { NameAuthority } from "./authority.js";

/** Events come in bursts; one list answers for all of them. */
const GATHER_MS = 100;
const NAMED = new Set(["container.created", "container.edited", "container.deleted"]);

/**
 * Tells the name authority what agents say: an event's own data at once, and the agent's whole list when a connection comes
 * up and after each such event, which is the truth whatever an event left out.
 */
export class NameFollower implements Disposable {
  readonly #authority: NameAuthority;
  readonly #log: Log;
  readonly #clients = new Map<AgentId, RpcClient>();
  readonly #timers = new Map<AgentId, NodeJS.Timeout>();

  constructor(authority: NameAuthority, log: Log) {
    this.#authority = authority;
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
    if (!NAMED.has(event.type) || !event.session_id) return;
    const { agent_id: id, session_id: session } = event;
    const name = event.type === "container.deleted" ? null : DnsName.nullable().safeParse(event.data["dns_name"]).data;
    if (name !== undefined) this.#authority.sessionNamed(id, session, name);
    if (this.#timers.has(id)) return;
    this.#timers.set(
      id,
      setTimeout(() => {
        this.#timers.delete(id);
        void this.#list(id);
      }, GATHER_MS),
    );
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  async #list(id: AgentId): Promise<void> {
    const client = this.#clients.get(id);
    if (!client) return;
    try {
      const { sessions } = await client.call("list", {});
      this.#authority.sessionsOf(id, sessions);
    } catch (error) {
      // The next event or connection asks again; until then the events' own data stand.
      this.#log.warn({ agent_id: id, error: String(error) }, "cannot ask the agent for its sessions' names");
    }
  }
}
