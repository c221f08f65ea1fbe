import { chmodSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { z } from "zod";
import {
  AgentEvent,
  AgentStatus,
  Session,
  type AgentId,
  type HistoryRequest,
  type KeptEvent,
} from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";

/** What became of one event: kept, or seen before. `missing`: how many numbers before it never came. */
export type StoredEvent = { kind: "stored"; missing: number; cursor: number } | { kind: "duplicate" };

/** How many events are kept in all, and for how long; the oldest go first. */
const HISTORY_EVENTS = 100_000;
export const HISTORY_MS = 7 * 86_400_000;
/** A page of history ends after so many bytes of events, however many were asked for. */
const PAGE_BYTES = 512 * 1024;
/** An agent makes a new stream only with a new spool, so more than this many are history that nobody sends again. */
const STREAMS_PER_AGENT = 16;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL,
    received_at TEXT NOT NULL, event TEXT NOT NULL,
    UNIQUE (agent_id, stream, seq)
  ) STRICT;
  CREATE INDEX IF NOT EXISTS events_received ON events (received_at);
  CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id TEXT NOT NULL, stream TEXT NOT NULL,
    last_seq INTEGER NOT NULL, trimmed_seq INTEGER NOT NULL,
    UNIQUE (agent_id, stream)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS sessions (agent_id TEXT PRIMARY KEY, listed_at TEXT NOT NULL, sessions TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS agents (agent_id TEXT PRIMARY KEY, status TEXT NOT NULL) STRICT;
`;

/** SQLite's codes for a file that is no database, or not a whole one. */
const BROKEN = new Set([11, 26]);

interface Opened {
  db: DatabaseSync;
  insert: StatementSync;
  streamOf: StatementSync;
  advance: StatementSync;
}

/**
 * What convocate-status knows, in SQLite: a bounded history of events, how far each agent's stream has come, and the last
 * state of every agent. Synchronous, since a commit is what an acknowledgement waits for. Throws what SQLite throws, and
 * opens its file again at the next call: a disk that was full is none later.
 */
export class StatusStore implements Disposable {
  readonly #path: string;
  readonly #historyEvents: number;
  readonly #log: Log | undefined;
  #opened: Opened | null = null;

  constructor(path: string, options: { historyEvents?: number; log?: Log } = {}) {
    this.#path = path;
    this.#historyEvents = options.historyEvents ?? HISTORY_EVENTS;
    this.#log = options.log;
  }

  /** Runs `work` in one transaction: all of it is on disk afterwards, or, when it throws, none. */
  transaction<T>(work: () => T, now = new Date()): T {
    const { db } = this.#use();
    try {
      db.exec("BEGIN IMMEDIATE");
      const result = work();
      this.#trim(now);
      db.exec("COMMIT");
      return result;
    } catch (thrown) {
      this[Symbol.dispose]();
      throw thrown;
    }
  }

  /** Keeps one numbered event (no heartbeat), unless it is here already. Call within `transaction`. */
  addEvent(event: AgentEvent, receivedAt: string): StoredEvent {
    const { insert, streamOf, advance } = this.#use();
    const stream = streamOf.get(event.agent_id, event.stream) as { last_seq: number; trimmed_seq: number } | undefined;
    // Numbers at or below what the bounded history has dropped were here once.
    if (stream && event.seq <= stream.trimmed_seq) return { kind: "duplicate" };
    const { changes, lastInsertRowid } = insert.run(
      event.agent_id,
      event.stream,
      event.seq,
      receivedAt,
      JSON.stringify(event),
    );
    if (changes === 0) return { kind: "duplicate" };
    advance.run(event.agent_id, event.stream, event.seq);
    if (!stream) this.#trimStreams(event.agent_id);
    // spool.dropped stands in for the numbers before it, and a stream first heard of may have begun long ago.
    const expected = stream && event.type !== "spool.dropped" ? stream.last_seq + 1 : event.seq;
    return { kind: "stored", missing: Math.max(0, event.seq - expected), cursor: Number(lastInsertRowid) };
  }

  /** Events of the history, oldest first; `more` when a page had no room for all that were asked for. */
  history({ since, after, limit }: Omit<HistoryRequest, "kind">): { events: KeptEvent[]; more: boolean } {
    const { db } = this.#use();
    if (after === undefined && since === undefined) {
      const newest = db.prepare("SELECT id, event FROM events ORDER BY id DESC").iterate();
      return { events: page(newest, limit).events.reverse(), more: false };
    }
    const later = db.prepare("SELECT id, event FROM events WHERE id > ? AND received_at >= ? ORDER BY id");
    return page(later.iterate(after ?? 0, since === undefined ? "" : new Date(since).toISOString()), limit);
  }

  countEvents(): number {
    return Number(this.#use().db.prepare("SELECT count(*) AS n FROM events").get()?.["n"]);
  }

  /** Last known state of every agent; a row that an older or newer release wrote otherwise is left out. */
  agents(): AgentStatus[] {
    const rows = this.#use().db.prepare("SELECT status FROM agents ORDER BY agent_id").all();
    return rows.flatMap((row) => {
      const parsed = AgentStatus.safeParse(JSON.parse(String(row["status"])));
      return parsed.success ? [parsed.data] : [];
    });
  }

  saveAgent(status: AgentStatus): void {
    this.#use()
      .db.prepare(
        "INSERT INTO agents (agent_id, status) VALUES (?, ?) ON CONFLICT (agent_id) DO UPDATE SET status = excluded.status",
      )
      .run(status.agent_id, JSON.stringify(status));
  }

  /** What an agent listed last; null when it never did, or another release wrote it otherwise. */
  sessionsOf(id: AgentId): { listedAt: string; sessions: Session[] } | null {
    const row = this.#use().db.prepare("SELECT listed_at, sessions FROM sessions WHERE agent_id = ?").get(id);
    const parsed = z.array(Session).safeParse(JSON.parse(String(row?.["sessions"] ?? "null")));
    return parsed.success ? { listedAt: String(row?.["listed_at"]), sessions: parsed.data } : null;
  }

  saveSessions(id: AgentId, listedAt: string, sessions: readonly Session[]): void {
    this.#use()
      .db.prepare(
        `INSERT INTO sessions (agent_id, listed_at, sessions) VALUES (?, ?, ?)
         ON CONFLICT (agent_id) DO UPDATE SET listed_at = excluded.listed_at, sessions = excluded.sessions`,
      )
      .run(id, listedAt, JSON.stringify(sessions));
  }

  /** Forgets an agent's state; its events stay in the history until they age out. */
  forgetAgent(id: AgentId): void {
    this.#use().db.prepare("DELETE FROM agents WHERE agent_id = ?").run(id);
    this.#use().db.prepare("DELETE FROM sessions WHERE agent_id = ?").run(id);
  }

  /** Closes the file, rolling back what is open in it; the next call opens it again. */
  [Symbol.dispose](): void {
    const opened = this.#opened;
    this.#opened = null;
    try {
      if (opened?.db.isTransaction) opened.db.exec("ROLLBACK");
    } catch {
      // Closing rolls back, too.
    }
    try {
      opened?.db.close();
    } catch {
      // A disk that is full may not even take the checkpoint; the log file beside it has all that was committed.
    }
  }

  #use(): Opened {
    if (this.#opened) return this.#opened;
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o750 });
    try {
      this.#opened = this.#open();
    } catch (thrown) {
      if (!BROKEN.has((thrown as { errcode?: number }).errcode ?? 0)) throw thrown;
      this.#log?.error({ path: this.#path, error: String(thrown) }, "the store is broken: put aside, begun anew");
      renameSync(this.#path, `${this.#path}.broken`);
      for (const suffix of ["-wal", "-shm"]) rmSync(`${this.#path}${suffix}`, { force: true });
      this.#opened = this.#open();
    }
    return this.#opened;
  }

  #open(): Opened {
    const db = new DatabaseSync(this.#path);
    try {
      chmodSync(this.#path, 0o600);
      // FULL: what has been acknowledged is gone from the agent's spool, so it must survive a power cut here.
      db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;");
      db.exec(SCHEMA);
      return {
        db,
        insert: db.prepare(
          "INSERT OR IGNORE INTO events (agent_id, stream, seq, received_at, event) VALUES (?, ?, ?, ?, ?)",
        ),
        streamOf: db.prepare("SELECT last_seq, trimmed_seq FROM streams WHERE agent_id = ? AND stream = ?"),
        advance: db.prepare(
          `INSERT INTO streams (agent_id, stream, last_seq, trimmed_seq) VALUES (?, ?, ?, 0)
           ON CONFLICT (agent_id, stream) DO UPDATE SET last_seq = max(last_seq, excluded.last_seq)`,
        ),
      };
    } catch (thrown) {
      db.close();
      throw thrown;
    }
  }

  /** Drops what is beyond the bounds and remembers how far, so that a dropped event is still known as a duplicate. */
  #trim(now: Date): void {
    const { db } = this.#use();
    const newest = Number(db.prepare("SELECT max(id) AS id FROM events").get()?.["id"] ?? 0);
    const oldest = new Date(now.getTime() - HISTORY_MS).toISOString();
    const aged = Number(db.prepare("SELECT max(id) AS id FROM events WHERE received_at < ?").get(oldest)?.["id"] ?? 0);
    const upTo = Math.max(newest - this.#historyEvents, aged);
    if (upTo <= 0) return;
    this.#use()
      .db.prepare(
        `UPDATE streams SET trimmed_seq = max(trimmed_seq, old.seq)
         FROM (SELECT agent_id, stream, max(seq) AS seq FROM events WHERE id <= ? GROUP BY agent_id, stream) AS old
         WHERE streams.agent_id = old.agent_id AND streams.stream = old.stream`,
      )
      .run(upTo);
    this.#use().db.prepare("DELETE FROM events WHERE id <= ?").run(upTo);
  }

  #trimStreams(id: AgentId): void {
    this.#use()
      .db.prepare(
        `DELETE FROM streams WHERE agent_id = ? AND id NOT IN
         (SELECT id FROM streams WHERE agent_id = ? ORDER BY id DESC LIMIT ?)`,
      )
      .run(id, id, STREAMS_PER_AGENT);
  }
}

/** Rows up to `limit`, and up to PAGE_BYTES, but one at least; `more` when there are others. */
function page(rows: Iterable<unknown>, limit: number): { events: KeptEvent[]; more: boolean } {
  const events: KeptEvent[] = [];
  let bytes = 0;
  for (const row of rows as Iterable<{ id: number; event: string }>) {
    if (events.length >= limit || (events.length > 0 && bytes + row.event.length > PAGE_BYTES))
      return { events, more: true };
    bytes += row.event.length;
    events.push({ cursor: row.id, event: AgentEvent.parse(JSON.parse(row.event)) });
  }
  return { events, more: false };
}
