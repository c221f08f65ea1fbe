import { ConvocateError, type AgentId, type SessionId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { Agent } from "./agent.js";
import { Registry, type AgentEntry } from "./registry.js";

/** The agents of the folder of agents, each with its connection, as they come and go. */
export class Agents implements AsyncDisposable {
  readonly #agents = new Map<AgentId, Agent>();
  readonly #registry: Registry;
  readonly #with: { log: Log; onChange: () => void };
  readonly #leaving = new Set<Promise<void>>();
  #connects: boolean;
  #closed = false;

  /** `connects` false: each is connected to when it is needed first, or after `connect`. */
  constructor(folder: string, options: { log: Log; onChange: () => void; connects: boolean }) {
    this.#with = options;
    this.#connects = options.connects;
    this.#registry = new Registry(folder, options.log, (id, entry) => this.#replace(id, entry));
  }

  /** @throws ConvocateError IO_ERROR when the folder cannot be read. */
  async start(): Promise<void> {
    await this.#registry.start();
  }

  /** Connects to all, and to those that come. */
  connect(): void {
    this.#connects = true;
    for (const agent of this.all()) agent.start();
  }

  all(): Agent[] {
    return [...this.#agents.values()];
  }

  find(id: AgentId): Agent | undefined {
    return this.#agents.get(id);
  }

  /** @throws ConvocateError AGENT_NOT_FOUND. */
  get(id: AgentId): Agent {
    const agent = this.#agents.get(id);
    if (agent) return agent;
    throw new ConvocateError("AGENT_NOT_FOUND", `no agent ${id} here: see \`convocate agents\``);
  }

  /** Who has the session; what is left of one that moved counts only while nobody else has it. */
  holder(id: SessionId): Agent | undefined {
    const holders = this.all().filter((agent) => agent.has(id));
    return holders.find((agent) => !agent.session(id)?.moved_to) ?? holders[0];
  }

  /** Lists those agents anew; resolves after `timeoutMs` at the latest, whoever did not answer. */
  async refresh(timeoutMs: number, which: (agent: Agent) => boolean): Promise<void> {
    const asked = this.all().filter(which);
    await Promise.allSettled(asked.map((agent) => withDeadline(agent.refresh(timeoutMs), timeoutMs)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#registry[Symbol.dispose]();
    for (const id of [...this.#agents.keys()]) this.#replace(id, null);
    await Promise.allSettled(this.#leaving);
  }

  #replace(id: AgentId, entry: AgentEntry | null): void {
    const before = this.#agents.get(id);
    if (before) {
      this.#agents.delete(id);
      const leaving = before[Symbol.asyncDispose]().finally(() => this.#leaving.delete(leaving));
      this.#leaving.add(leaving);
    }
    if (entry && !this.#closed) {
      const agent = new Agent(entry, this.#with);
      this.#agents.set(id, agent);
      if (this.#connects) agent.start();
    }
    this.#with.onChange();
  }
}

/** Rejects after `timeoutMs` whatever the work still does: a list that others asked for earlier may wait longer. */
async function withDeadline(work: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ConvocateError("TIMEOUT", "no answer in time")), timeoutMs);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}
