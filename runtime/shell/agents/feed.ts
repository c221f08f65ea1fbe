import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import {
  FeedLine,
  type AgentEvent,
  type AgentId,
  type AgentList,
  type AgentStatus,
  type FeedRequest,
  type Session,
} from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { readLines, writeLine } from "../../protocol/ndjson.js";

/** How soon a feed that is absent or broke is tried again: it is a socket on this machine. */
const RETRY_MS = 1000;
/** A snapshot of thousands of agents fits; more is a broken writer. */
const MAX_FEED_LINE_BYTES = 16 * 1024 * 1024;

/** Reads convocate-status's feed for as long as it lives. Without convocate-status nothing is heard, and nothing fails. */
export class StatusFeed implements AsyncDisposable {
  readonly #path: string;
  readonly #log: Log;
  readonly #onChange: (id: AgentId | null) => void;
  readonly #onEvent: (event: AgentEvent) => void;
  #agents = new Map<AgentId, AgentStatus>();
  readonly #asked = new Map<AgentId, PromiseWithResolvers<readonly Session[]>>();
  #listing: { onList: (list: AgentList) => void; done: PromiseWithResolvers<undefined> } | null = null;
  #socket: Socket | null = null;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  /** `onChange` names the agent whose status changed, or null when any may have. */
  constructor(options: {
    path: string;
    log: Log;
    onChange: (id: AgentId | null) => void;
    onEvent: (event: AgentEvent) => void;
  }) {
    this.#path = options.path;
    this.#log = options.log;
    this.#onChange = options.onChange;
    this.#onEvent = options.onEvent;
  }

  /** What convocate-status has heard of an agent; null when nothing, or when it is not there to ask. */
  heard(id: AgentId): AgentStatus | null {
    return this.#agents.get(id) ?? null;
  }

  /**
   * What convocate-status knows that an agent listed last; empty when that is nothing, or it does not say in time. One
   * question at a time per agent: a second asker gets the answer to the first.
   */
  async lastKnown(id: AgentId, timeoutMs: number): Promise<readonly Session[]> {
    const socket = await this.#opened(timeoutMs);
    if (!socket) return [];
    const asked = this.#asked.get(id) ?? Promise.withResolvers<readonly Session[]>();
    if (!this.#asked.has(id)) {
      this.#asked.set(id, asked);
      await writeLine(socket, { kind: "sessions", agent_id: id } satisfies FeedRequest).catch(() => asked.resolve([]));
    }
    const timer = setTimeout(() => asked.resolve([]), timeoutMs);
    try {
      return await asked.promise;
    } finally {
      clearTimeout(timer);
      this.#asked.delete(id);
    }
  }

  /**
   * Has convocate-status ask all agents, over the connections that it keeps, and tells each answer. Resolves when those that
   * answer have, at the latest after `timeoutMs`; at once without convocate-status. One such question at a time.
   */
  async listNow(onList: (list: AgentList) => void, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    const socket = await this.#opened(timeoutMs);
    if (!socket || this.#listing) return;
    const done = Promise.withResolvers<undefined>();
    this.#listing = { onList, done };
    const timer = setTimeout(() => done.resolve(undefined), Math.max(0, deadline - performance.now()));
    try {
      await writeLine(socket, { kind: "list" } satisfies FeedRequest).catch(() => done.resolve(undefined));
      await done.promise;
    } finally {
      clearTimeout(timer);
      this.#listing = null;
    }
  }

  start(): void {
    this.#running = this.#read().finally(() => {
      if (this.#closed) return;
      this.#timer = setTimeout(() => this.start(), RETRY_MS);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
    await this.#running;
  }

  /** The socket, once it is connected; null when it is not in time, or nobody serves it. */
  async #opened(timeoutMs: number): Promise<Socket | null> {
    const deadline = performance.now() + timeoutMs;
    while (this.#socket?.readyState === "opening" && performance.now() < deadline) await sleep(1);
    return this.#socket?.readyState === "open" ? this.#socket : null;
  }

  async #read(): Promise<void> {
    const socket = connect(this.#path);
    this.#socket = socket;
    try {
      await once(socket, "connect");
      for await (const item of readLines(socket, { maxBytes: MAX_FEED_LINE_BYTES }))
        if ("line" in item) this.#take(item.line);
    } catch (error) {
      const absent = ["ENOENT", "ECONNREFUSED"].includes(String((error as NodeJS.ErrnoException).code));
      if (!absent && !this.#closed) this.#log.warn({ path: this.#path, error: String(error) }, "the status feed broke");
    } finally {
      socket.destroy();
      this.#listing?.done.resolve(undefined);
      if (this.#agents.size > 0) {
        this.#agents = new Map();
        this.#onChange(null);
      }
    }
  }

  #take(text: string): void {
    const line = parse(text);
    if (!line) return;
    switch (line.kind) {
      case "snapshot":
        this.#agents = new Map(line.agents.map((status) => [status.agent_id, status]));
        this.#onChange(null);
        return;
      case "agent":
        this.#agents.set(line.agent.agent_id, line.agent);
        this.#onChange(line.agent.agent_id);
        return;
      case "sessions":
        this.#asked.get(line.agent_id)?.resolve(line.sessions);
        return;
      case "list":
        this.#listing?.onList(line);
        return;
      case "listed":
      // An earlier release does not know the question.
      case "error":
        this.#listing?.done.resolve(undefined);
        return;
      case "event":
        this.#onEvent(line.event);
    }
  }
}

/** Null for kinds that only a newer convocate-status knows. */
function parse(text: string): FeedLine | null {
  try {
    return FeedLine.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
