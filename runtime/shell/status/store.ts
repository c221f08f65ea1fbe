import { DatabaseSync, type StatementSync } from "node:sqlite";
import { AgentEvent, AgentStatus, type AgentId } from "../../domain/index.js";

/** What became of one event: kept, or seen before. `missing`: how many numbers before it never came. */
export type StoredEvent = { kind: "stored"; missing: number } | { kind: "duplicate" };

/** How many events are kept in all; the oldest go first. */
export const HISTORY_EVENTS = 100_000;
/** An agent makes a new stream only with a new spool, so more than this many are history that nobody sends again. */
const STREAMS_PER_AGENT = 16;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL,
    received_at TEXT NOT NULL, event TEXT NOT NULL,
    UNIQUE (agent_id, stream, seq)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id TEXT NOT NULL, stream TEXT NOT NULL,
    last_seq INTEGER NOT NULL, trimmed_seq INTEGER NOT NULL,
    UNIQUE (agent_id, stream)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS agents (agent_id TEXT PRIMARY KEY, status TEXT NOT NULL) STRICT;
`;

/**
 * What convocate-status knows, in SQLite: a bounded history of events, how far each agent's stream has come, and the last
 * state of every agent. Synchronous, since a commit is what an acknowledgement waits for. Throws what SQLite throws.
 */
export class StatusStore implements Disposable {
  readonly #db: DatabaseSync;
  readonly #historyEvents: number;
  readonly #insert: StatementSync;
  readonly #streamOf: StatementSync;
  readonly #advance: StatementSync;

  constructor(path: string, options: { historyEvents?: number } = {}) {
    this.#historyEvents = options.historyEvents ?? HISTORY_EVENTS;
    this.#db = new DatabaseSync(path);
    // FULL: what has been acknowledged is gone from the agent's spool, so it must survive a power cut here.
    this.#db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;");
    this.#db.exec(SCHEMA);
    this.#insert = this.#db.prepare(
      "INSERT OR IGNORE INTO events (agent_id, stream, seq, received_at, event) VALUES (?, ?, ?, ?, ?)",
    );
    this.#streamOf = this.#db.prepare("SELECT last_seq, trimmed_seq FROM streams WHERE agent_id = ? AND stream = ?");
    this.#advance = this.#db.prepare(
      `INSERT INTO streams (agent_id, stream, last_seq, trimmed_seq) VALUES (?, ?, ?, 0)
       ON CONFLICT (agent_id, stream) DO UPDATE SET last_seq = max(last_seq, excluded.last_seq)`,
    );
  }

  /** Runs `work` in one transaction: all of it is on disk afterwards, or, when it throws, none. */
  transaction<T>(work: () => T): T {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#trim();
      this.#db.exec("COMMIT");
      return result;
    } catch (thrown) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw thrown;
    }
  }

  /** Keeps one numbered event (no heartbeat), unless it is here already. Call within `transaction`. */
  addEvent(event: AgentEvent, receivedAt: string): StoredEvent {
    const stream = this.#streamOf.get(event.agent_id, event.stream) as
      { last_seq: number; trimmed_seq: number } | undefined;
    // Numbers at or below what the bounded history has dropped were here once.
    if (stream && event.seq <= stream.trimmed_seq) return { kind: "duplicate" };
    const { changes } = this.#insert.run(event.agent_id, event.stream, event.seq, receivedAt, JSON.stringify(event));
    if (changes === 0) return { kind: "duplicate" };
    this.#advance.run(event.agent_id, event.stream, event.seq);
    if (!stream) this.#trimStreams(event.agent_id);
    // spool.dropped stands in for the numbers before it, and a stream first heard of may have begun long ago.
    const expected = stream && event.type !== "spool.dropped" ? stream.last_seq + 1 : event.seq;
    return { kind: "stored", missing: Math.max(0, event.seq - expected) };
  }

  /** The newest `limit` events, oldest first. */
  events(limit: number): AgentEvent[] {
    const rows = this.#db.prepare("SELECT event FROM events ORDER BY id DESC LIMIT ?").all(limit);
    return rows.reverse().map((row) => AgentEvent.parse(JSON.parse(String(row["event"]))));
  }

  countEvents(): number {
    return Number(this.#db.prepare("SELECT count(*) AS n FROM events").get()?.["n"]);
  }

  /** Last known state of every agent; a row that an older or newer release wrote otherwise is left out. */
  agents(): AgentStatus[] {
    const rows = this.#db.prepare("SELECT status FROM agents ORDER BY agent_id").all();
    return rows.flatMap((row) => {
      const parsed = AgentStatus.safeParse(JSON.parse(String(row["status"])));
      return parsed.success ? [parsed.data] : [];
    });
  }

  saveAgent(status: AgentStatus): void {
    this.#db
      .prepare(
        "INSERT INTO agents (agent_id, status) VALUES (?, ?) ON CONFLICT (agent_id) DO UPDATE SET status = excluded.status",
      )
      .run(status.agent_id, JSON.stringify(status));
  }

  /** Forgets an agent's state; its events stay in the history until they age out. */
  forgetAgent(id: AgentId): void {
    this.#db.prepare("DELETE FROM agents WHERE agent_id = ?").run(id);
  }

  [Symbol.dispose](): void {
    if (this.#db.isOpen) this.#db.close();
  }

  /** Drops what is beyond the bound and remembers how far, so that a dropped event is still known as a duplicate. */
  #trim(): void {
    const newest = this.#db.prepare("SELECT max(id) AS id FROM events").get()?.["id"];
    if (typeof newest !== "number") return;
    const upTo = newest - this.#historyEvents;
    if (upTo <= 0) return;
    this.#db
      .prepare(
        `UPDATE streams SET trimmed_seq = max(trimmed_seq, old.seq)
         FROM (SELECT agent_id, stream, max(seq) AS seq FROM events WHERE id <= ? GROUP BY agent_id, stream) AS old
         WHERE streams.agent_id = old.agent_id AND streams.stream = old.stream`,
      )
      .run(upTo);
    this.#db.prepare("DELETE FROM events WHERE id <= ?").run(upTo);
  }

  #trimStreams(id: AgentId): void {
    this.#db
      .prepare(
        `DELETE FROM streams WHERE agent_id = ? AND id NOT IN
         (SELECT id FROM streams WHERE agent_id = ? ORDER BY id DESC LIMIT ?)`,
      )
      .run(id, id, STREAMS_PER_AGENT);
  }
}
