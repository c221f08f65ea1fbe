import type { Duplex } from "node:stream";
import {
  ConvocateError,
  formatAddress,
  SUBSYSTEM,
  toConvocateError,
  type AgentId,
  type AgentList,
  type Labels,
  type Session,
  type SessionId,
} from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { RpcClient } from "../../protocol/rpc/client.js";
import type { Op, OpInput, OpResult } from "../../protocol/rpc/ops.js";
import { Link } from "../../protocol/ssh/link.js";
import type { SshConnection } from "../../protocol/ssh/types.js";
import type { AgentView } from "../cluster.js";
import type { AgentEntry } from "./registry.js";

/** Deadline of questions, and of operations that stop containers (10 s of grace among them). */
export const QUESTION_TIMEOUT_MS = 10_000;
export const OPERATION_TIMEOUT_MS = 30_000;
/** Copying a home of some hundred GB on one disk. */
export const COPY_TIMEOUT_MS = 3_600_000;
/** Events come in bursts (died, stopped, started); one list answers for all of them. */
const REFRESH_DEBOUNCE_MS = 100;

type Outcome = { kind: "up"; client: RpcClient } | { kind: "down"; error: ConvocateError };

/** One agent: its persistent connection, what it said of itself, and its sessions as last listed. */
export class Agent implements AsyncDisposable {
  readonly entry: AgentEntry;
  readonly #link: Link;
  readonly #onChange: () => void;
  #client: RpcClient | null = null;
  /** convocate-status has asked it for us, and nothing of our own has shown since whether it can be reached. */
  #vouched = false;
  #started = false;
  #connection: AgentView["connection"] = { state: "connecting", since: Date.now() };
  #lastError: ConvocateError | null = null;
  #told: { release: string; image: string | null } | null = null;
  #labels: Labels | null = null;
  #sessions = new Map<SessionId, Session>();
  #listed = false;
  /** False from a list that got no answer in time to the next that did: connected, but of no use. */
  #answering = true;
  #listing: Promise<void> | null = null;
  #listAgain = false;
  #debounce: NodeJS.Timeout | undefined;
  #waiters: ((outcome: Outcome) => void)[] = [];
  #closed = false;

  constructor(entry: AgentEntry, options: { log: Log; onChange: () => void }) {
    this.entry = entry;
    this.#onChange = options.onChange;
    this.#link = new Link({
      dial: (signal) => this.dial({ signal }),
      onUp: (connection) => this.#up(connection),
      onDown: (error) => this.#down(error),
      log: options.log,
    });
  }

  get id(): AgentId {
    return this.entry.id;
  }

  get reachable(): boolean {
    return (this.#client !== null || this.#vouched) && this.#answering;
  }

  /** Connects, and stays connected. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#link.start();
  }

  view(): Omit<AgentView, "heard"> {
    const { id, name } = this.entry;
    return {
      id,
      name,
      address: formatAddress(this.entry),
      connection: this.#answering
        ? this.#connection
        : { state: "connecting", since: this.#connection.since, error: "connected, but does not answer" },
      release: this.#told?.release ?? null,
      image: this.#told?.image ?? null,
      labels: this.#labels,
    };
  }

  sessions(): Iterable<Session> {
    return this.#sessions.values();
  }

  session(id: SessionId): Session | undefined {
    return this.#sessions.get(id);
  }

  has(id: SessionId): boolean {
    return this.#sessions.has(id);
  }

  /** A connection of its own, pinned like the persistent one. */
  async dial(
    options: { signal?: AbortSignal; connectTimeoutMs?: number; keepaliveMs?: number } = {},
  ): Promise<SshConnection> {
    const { host, port, privateKey, hostKey } = this.entry;
    // Loaded by who connects: where convocate-status can be asked, most lists do without.
    const { dial } = await import("../../protocol/ssh/client.js");
    return await dial({ host, port, privateKey, hostKey, ...options });
  }

  /** An RPC channel on a connection of its own, for bytes in bulk: they hold nobody's questions up. */
  async openChannel(signal?: AbortSignal): Promise<{ stream: Duplex; close(): void }> {
    try {
      const connection = await this.dial(signal ? { signal } : {});
      try {
        const { stream } = await connection.openSubsystem(SUBSYSTEM.rpc, signal ? { signal } : {});
        // the reader or writer hears it; without a listener a late one would end the process
        stream.on("error", () => undefined);
        return { stream, close: () => connection.close() };
      } catch (thrown) {
        connection.close();
        throw thrown;
      }
    } catch (thrown) {
      throw this.#unreachable(toConvocateError(thrown));
    }
  }

  /**
   * One operation. When the agent is not connected it is dialled now, and that dial decides.
   * @throws ConvocateError with the agent's code, or the code that says why it cannot be reached.
   */
  async call<O extends Op>(op: O, params: OpInput<O>, timeoutMs: number): Promise<OpResult<O>> {
    const deadline = performance.now() + timeoutMs;
    const client = await this.#whenUp(deadline, false);
    return await this.#ask(client, op, params, deadline);
  }

  /** Like `call`, and once more after a connection that broke: only for operations that are safe to send again. */
  async callAgain<O extends Op>(op: O, params: OpInput<O>, timeoutMs: number): Promise<OpResult<O>> {
    const deadline = performance.now() + timeoutMs;
    try {
      return await this.#ask(await this.#whenUp(deadline, false), op, params, deadline);
    } catch (thrown) {
      if (!(thrown instanceof ConvocateError) || thrown.code !== "CONNECTION_LOST") throw thrown;
      return await this.#ask(await this.#whenUp(deadline, true), op, params, deadline);
    }
  }

  /** Asks for the list; a second caller meanwhile waits for one that begins after its call. */
  async refresh(timeoutMs: number): Promise<void> {
    if (this.#listing) {
      this.#listAgain = true;
      await this.#listing;
      return;
    }
    const run = async (): Promise<void> => {
      if (!this.#client) {
        // Coming up, it lists by itself.
        await this.#whenUp(performance.now() + timeoutMs, false);
        return;
      }
      do {
        this.#listAgain = false;
        await this.#list(timeoutMs);
      } while (this.#listsAgain());
    };
    this.#listing = run().finally(() => {
      this.#listing = null;
    });
    await this.#listing;
  }

  /** A refresh soon, several such calls in one; nothing when the agent is not connected (its next connection lists). */
  refreshSoon(): void {
    if (this.#debounce || !this.#client) return;
    this.#debounce = setTimeout(() => {
      this.#debounce = undefined;
      // A failure shows as the agent's connection; the next list comes at the latest after 15 s.
      if (this.#client) this.refresh(QUESTION_TIMEOUT_MS).catch(() => undefined);
    }, REFRESH_DEBOUNCE_MS);
  }

  /** Somebody has seen the agent alive: do not wait for the next redial. */
  nudge(): void {
    if (!this.#client) this.#link.redialNow();
  }

  /** Whether it has listed its sessions to this process. */
  get listed(): boolean {
    return this.#listed;
  }

  /** What it has just told convocate-status, which asked for us; false when we are connected and ask ourselves. */
  vouch({ release, image, sessions }: AgentList): boolean {
    if (this.#client) return false;
    this.#told = { release, image };
    this.#sessions = new Map(sessions.map((session) => [session.id, session]));
    this.#listed = true;
    this.#vouched = true;
    this.#connection = { state: "connected", since: Date.now() };
    this.#onChange();
    return true;
  }

  /** What somebody else heard it list last, until it lists to us. */
  recall(sessions: readonly Session[]): void {
    if (this.#listed || sessions.length === 0) return;
    this.#sessions = new Map(sessions.map((session) => [session.id, session]));
    this.#onChange();
  }

  remember(session: Session): void {
    this.#sessions.set(session.id, session);
    this.#onChange();
  }

  forget(id: SessionId): void {
    if (this.#sessions.delete(id)) this.#onChange();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#debounce);
    this.#settle({ kind: "down", error: new ConvocateError("CONNECTION_LOST", `agent ${this.entry.name} was let go`) });
    await this.#link.close();
    this.#client?.close();
    this.#client = null;
  }

  /** Somebody asked while the last list was on its way. */
  #listsAgain(): boolean {
    return this.#listAgain && !this.#closed;
  }

  async #list(timeoutMs: number): Promise<void> {
    try {
      const { sessions } = await this.call("list", {}, timeoutMs);
      this.#answering = true;
      this.#sessions = new Map(sessions.map((session) => [session.id, session]));
      this.#listed = true;
    } catch (thrown) {
      if (thrown instanceof ConvocateError && thrown.code === "TIMEOUT") this.#answering = false;
      throw thrown;
    } finally {
      this.#onChange();
    }
  }

  async #up(connection: SshConnection): Promise<void> {
    const channel = await connection.openSubsystem(SUBSYSTEM.rpc);
    const client = new RpcClient(channel.stream);
    // A connection without its channel is of no use: closing it makes the link dial again.
    void channel.closed.then(() => connection.close());
    const [told, { sessions }] = await Promise.all([
      client.call("ping", {}, { timeoutMs: QUESTION_TIMEOUT_MS }),
      client.call("list", {}, { timeoutMs: QUESTION_TIMEOUT_MS }),
    ]);
    if (told.agent_id !== this.id) {
      const { name } = this.entry;
      throw new ConvocateError(
        "REFUSED",
        `agent ${name} says its id is ${told.agent_id}, not ${this.id}: provision it again`,
      );
    }
    this.#told = { release: told.release, image: told.image };
    this.#labels = told.labels;
    this.#sessions = new Map(sessions.map((session) => [session.id, session]));
    this.#listed = true;
    this.#client = client;
    this.#vouched = false;
    this.#answering = true;
    this.#lastError = null;
    this.#connection = { state: "connected", since: Date.now() };
    this.#settle({ kind: "up", client });
    this.#onChange();
  }

  #down(error: ConvocateError): void {
    const since = this.#connection.state === "connected" ? Date.now() : this.#connection.since;
    this.#client?.close();
    this.#client = null;
    this.#vouched = false;
    this.#answering = true;
    this.#lastError = error;
    this.#connection = { state: "connecting", since, error: error.message };
    this.#settle({ kind: "down", error });
    this.#onChange();
  }

  #settle(outcome: Outcome): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter(outcome);
  }

  /** The client, once connected. `patient` waits through failed dials until the deadline; otherwise the first one decides. */
  async #whenUp(deadline: number, patient: boolean): Promise<RpcClient> {
    while (!this.#closed) {
      if (this.#client) return this.#client;
      const remainingMs = deadline - performance.now();
      if (remainingMs <= 0) break;
      this.start();
      this.#link.redialNow();
      const outcome = await this.#nextOutcome(remainingMs);
      if (outcome?.kind === "up") return outcome.client;
      if (outcome && !patient) throw this.#unreachable(outcome.error);
      // A refused dial answers at once; asking again without a pause would be a busy loop.
      if (outcome) await new Promise((resolve) => setTimeout(resolve, Math.min(250, remainingMs)));
    }
    throw this.#unreachable(this.#lastError ?? new ConvocateError("TIMEOUT", "no answer in time"));
  }

  #nextOutcome(timeoutMs: number): Promise<Outcome | null> {
    return new Promise((resolve) => {
      const done = (outcome: Outcome | null): void => {
        clearTimeout(timer);
        resolve(outcome);
      };
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter((waiter) => waiter !== done);
        resolve(null);
      }, timeoutMs);
      this.#waiters.push(done);
    });
  }

  async #ask<O extends Op>(client: RpcClient, op: O, params: OpInput<O>, deadline: number): Promise<OpResult<O>> {
    try {
      return await client.call(op, params, { timeoutMs: Math.max(1, deadline - performance.now()) });
    } catch (thrown) {
      const error = toConvocateError(thrown);
      throw new ConvocateError(error.code, `agent ${this.entry.name}: ${error.message}`, { cause: error });
    }
  }

  #unreachable(error: ConvocateError): ConvocateError {
    return new ConvocateError(error.code, `agent ${this.entry.name} cannot be reached: ${error.message}`, {
      cause: error,
    });
  }
}
