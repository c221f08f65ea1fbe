import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { AgentId, SessionId } from "../../domain/index.js";
import { writeWhole } from "../../protocol/files.js";
import type { Log } from "../../protocol/log.js";
import { hostsFile, readRecords, type DnsRecord } from "./records.js";

/** Changes that come together are written together; SPEC 10 allows a second. */
const GATHER_MS = 50;
/** A write that failed (a full disk) is tried again. */
const RETRY_MS = 1000;
/** An agent that is known by a name may move to another address. */
const RESOLVE_EVERY_MS = 60_000;

export interface AuthorityOptions {
  path: string;
  /** Makes dnsmasq read the file again. */
  reload: () => Promise<void>;
  log: Log;
  /** Addresses of a host's name; the system's resolver unless a test brings its own. */
  resolve?: (host: string) => Promise<string[]>;
}

/**
 * The one writer of dnsmasq's hosts file (SPEC 10): a record per session with a DNS name, pointing at its agent. What is
 * known of an agent stays until the agent itself says otherwise, or is taken out of the cluster.
 */
export class NameAuthority implements AsyncDisposable {
  readonly #options: AuthorityOptions;
  readonly #resolve: (host: string) => Promise<string[]>;
  /** By session, in the order in which they were first heard of: of two that claim one name, the first keeps it. */
  readonly #names = new Map<SessionId, { name: string; agent: AgentId }>();
  readonly #hosts = new Map<AgentId, { host: string; addresses: string[] }>();
  readonly #disputed = new Set<string>();
  readonly #resolving: NodeJS.Timeout;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #written: string | null = null;
  #failed = false;
  #closed = false;

  constructor(options: AuthorityOptions) {
    this.#options = options;
    this.#resolve = options.resolve ?? systemResolve;
    this.#resolving = setInterval(() => {
      for (const [id, { host }] of this.#hosts) if (isIP(host) === 0) void this.#lookUp(id, host);
    }, RESOLVE_EVERY_MS);
  }

  /** Reads what the file says, before anybody else says anything. */
  async load(): Promise<void> {
    for (const { agent, session, name, addresses } of await readRecords(this.#options.path)) {
      this.#names.set(session, { name, agent });
      this.#hosts.set(agent, { host: "", addresses: [...addresses] });
    }
  }

  /** Takes away what is left of agents that are not in the cluster, and writes. */
  keepOnly(agents: ReadonlySet<AgentId>): void {
    for (const id of [...this.#hosts.keys()]) if (!agents.has(id)) this.forgetAgent(id);
    this.#changed();
  }

  /** An agent is at `host`, an address or a name. */
  async agentAt(id: AgentId, host: string): Promise<void> {
    const known = this.#hosts.get(id);
    this.#hosts.set(id, { host, addresses: known?.addresses ?? [] });
    await this.#lookUp(id, host);
  }

  /** An agent is not in the cluster any more. */
  forgetAgent(id: AgentId): void {
    this.#hosts.delete(id);
    for (const [session, { agent }] of this.#names) if (agent === id) this.#names.delete(session);
    this.#changed();
  }

  /** All sessions of an agent, as it listed them. */
  sessionsOf(id: AgentId, sessions: readonly { id: SessionId; dns_name: string | null }[]): void {
    const listed = new Map(sessions.map((session) => [session.id, session.dns_name]));
    for (const [session, { agent }] of this.#names)
      if (agent === id && !listed.get(session)) this.#names.delete(session);
    for (const [session, name] of listed) if (name) this.#names.set(session, { name, agent: id });
    this.#changed();
  }

  /** One session's name as an event told it; null: it has none any more. */
  sessionNamed(id: AgentId, session: SessionId, name: string | null): void {
    if (name) this.#names.set(session, { name, agent: id });
    else if (this.#names.get(session)?.agent === id) this.#names.delete(session);
    this.#changed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#resolving);
    clearTimeout(this.#timer);
    await this.#writing;
  }

  async #lookUp(id: AgentId, host: string): Promise<void> {
    try {
      const addresses = isIP(host) === 0 ? await this.#resolve(host) : [host];
      const known = this.#hosts.get(id);
      if (known?.host !== host || addresses.length === 0 || String(addresses) === String(known.addresses)) return;
      known.addresses = addresses;
      this.#changed();
    } catch (error) {
      // Its last addresses stay: a resolver that is away for a moment takes no name away.
      this.#options.log.warn({ agent_id: id, host, error: String(error) }, "cannot resolve the agent's host name");
    }
  }

  #records(): DnsRecord[] {
    const taken = new Map<string, SessionId>();
    const records: DnsRecord[] = [];
    for (const [session, { name, agent }] of this.#names) {
      const addresses = this.#hosts.get(agent)?.addresses ?? [];
      const holder = taken.get(name);
      if (holder && !this.#disputed.has(name)) {
        this.#disputed.add(name);
        this.#options.log.warn({ name, served: holder, refused: session }, "two sessions claim one DNS name");
      }
      if (holder || addresses.length === 0) continue;
      taken.set(name, session);
      records.push({ session, name, agent, addresses });
    }
    return records;
  }

  #changed(inMs = GATHER_MS): void {
    if (this.#closed || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#writing.then(() => this.#write());
    }, inMs);
  }

  async #write(): Promise<void> {
    const text = hostsFile(this.#records());
    if (text === this.#written) return;
    try {
      // Readable by all: dnsmasq reads it after it has given up root.
      await writeWhole(this.#options.path, text, 0o644);
      this.#written = text;
      await this.#options.reload();
      if (this.#failed) this.#options.log.info({}, "the names of sessions are written again");
      this.#failed = false;
    } catch (error) {
      if (!this.#failed)
        this.#options.log.error({ error: String(error) }, "cannot give dnsmasq the names of sessions; trying again");
      this.#failed = true;
      this.#written = null;
      this.#changed(RETRY_MS);
    }
  }
}

async function systemResolve(host: string): Promise<string[]> {
  return [...new Set((await lookup(host, { all: true })).map(({ address }) => address))];
}
