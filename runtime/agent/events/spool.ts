import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { z } from "zod";
import { AgentEvent, type AgentId, type EventType, type SessionId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import type { ImageTag } from "../containers/engine.js";
import { timestamp, type Clock } from "../clock.js";

/** In the agent's folder of events. */
export const SPOOL_FILE = "spool.db";
/** The most events that wait on disk (SPEC 5.3). */
const SPOOL_LIMIT = 10_000;

/** What was last reported of a session's container, kept beside the events so that both change in one step. */
export interface Observed {
  containerId: string;
  running: boolean;
  startedAt: string | null;
}

/** An event that was just kept. */
export interface Appended {
  type: EventType;
  sessionId: SessionId | null;
  data: Readonly<Record<string, unknown>>;
}

const Row = z.object({
  seq: z.number(),
  type: z.string(),
  session_id: z.string().nullable(),
  timestamp: z.string(),
  data: z.string(),
});
const Dropped = z.object({ count: z.int() });

/** EXCLUSIVE: nobody else reads it, and without shared memory it opens on a full disk, too (sqlite.org/wal.html, section 8). */
const SCHEMA = `
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, type TEXT NOT NULL, session_id TEXT, timestamp TEXT NOT NULL, data TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS observed (
    session_id TEXT PRIMARY KEY, container_id TEXT NOT NULL, running INTEGER NOT NULL, started_at TEXT
  ) STRICT;
  CREATE TABLE IF NOT EXISTS images (image TEXT PRIMARY KEY, id TEXT NOT NULL) STRICT;
`;

/**
 * Events that the shell has not acknowledged, on disk, numbered without gaps within one stream. A full one lets the oldest
 * go: one `spool.dropped` with the number of the last of them stands in their place. FULL synchronous, because a number
 * that a power cut takes back would be given twice.
 */
export class Spool implements Disposable {
  readonly #path: string;
  readonly #agentId: AgentId;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #limit: number;
  #db!: DatabaseSync;
  #statements = new Map<string, StatementSync>();
  #stream = "";
  #last = 0;
  #count = 0;
  readonly #listeners: ((event: Appended) => void)[] = [];

  constructor(options: { path: string; agentId: AgentId; clock: Clock; log: Log; limit?: number }) {
    this.#path = options.path;
    this.#agentId = options.agentId;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#limit = options.limit ?? SPOOL_LIMIT;
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    try {
      this.#open();
    } catch (error) {
      // A disk that is full or fails, or another process, says nothing of what is in the file.
      if (!isCorruption(error) && !isForeign(error)) {
        this.close();
        throw error;
      }
      this.#startOver(error);
    }
  }

  /** Names this numbering; a spool made anew has another. */
  get stream(): string {
    return this.#stream;
  }

  /** The last number given, 0 before the first. */
  get lastSeq(): number {
    return this.#last;
  }

  get size(): number {
    return this.#count;
  }

  /** Called after each append, in the order in which they asked for it. */
  onAppend(listener: (event: Appended) => void): void {
    this.#listeners.push(listener);
  }

  /** Numbers an event and keeps it. An event that cannot be written is logged and takes no number. */
  append(
    type: EventType,
    sessionId: SessionId | null,
    data: Record<string, unknown>,
    observed?: Observed | null,
  ): void {
    this.#append(type, sessionId, data, () => {
      if (sessionId !== null && observed !== undefined) this.#setObserved(sessionId, observed);
    });
  }

  /** Reports that a tag of `convocate` came or went, and remembers it in the same step. */
  appendImage(type: "image.loaded" | "image.pruned", { image, id }: ImageTag): void {
    this.#append(type, null, { image, id }, () => {
      if (type === "image.pruned") this.#sql("DELETE FROM images WHERE image = ?").run(image);
      else this.#sql("INSERT OR REPLACE INTO images VALUES (?, ?)").run(image, id);
    });
  }

  /** Ids of the images that were reported as loaded and not as pruned since, by tag. */
  images(): Map<string, string> {
    const rows = z
      .array(z.object({ image: z.string(), id: z.string() }))
      .parse(this.#sql("SELECT image, id FROM images").all());
    return new Map(rows.map((row) => [row.image, row.id]));
  }

  /** `beside` writes what must change together with the event. */
  #append(type: EventType, sessionId: SessionId | null, data: Record<string, unknown>, beside: () => void): void {
    const write = (): void => this.#write(type, sessionId, JSON.stringify(data), beside);
    try {
      try {
        write();
      } catch (error) {
        if (!isCorruption(error)) throw error;
        this.#startOver(error);
        write();
      }
    } catch (error) {
      this.#log.error({ err: String(error), type }, "an event could not be written to the spool and is lost");
      return;
    }
    for (const listener of this.#listeners) listener({ type, sessionId, data });
  }

  /** Keeps what was seen of a container without an event. Null forgets it. */
  observe(sessionId: SessionId, observed: Observed | null): void {
    try {
      this.#setObserved(sessionId, observed);
    } catch (error) {
      this.#log.error({ err: String(error) }, "the event spool cannot be written");
    }
  }

  observed(): Map<string, Observed> {
    const rows = z
      .array(
        z.object({
          session_id: z.string(),
          container_id: z.string(),
          running: z.number(),
          started_at: z.string().nullable(),
        }),
      )
      .parse(this.#sql("SELECT * FROM observed").all());
    return new Map(
      rows.map((row) => [
        row.session_id,
        { containerId: row.container_id, running: row.running === 1, startedAt: row.started_at },
      ]),
    );
  }

  /** Up to `limit` events after a number, in order. */
  after(seq: number, limit: number): AgentEvent[] {
    const rows = this.#sql("SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?").all(seq, limit);
    return rows.map((row) => this.#event(Row.parse(row)));
  }

  /** Forgets what the shell has, up to and with this number. */
  acknowledge(seq: number): void {
    try {
      const { changes } = this.#sql("DELETE FROM events WHERE seq <= ?").run(Math.min(seq, this.#last));
      this.#count -= Number(changes);
    } catch (error) {
      // Kept, so it is sent again, and the shell knows it by its number.
      this.#log.error({ err: String(error) }, "the event spool cannot be written");
    }
  }

  close(): void {
    this.#statements.clear();
    // Unset when opening itself failed.
    const db = this.#db as DatabaseSync | undefined;
    if (db?.isOpen) db.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): void {
    this.#db = new DatabaseSync(this.#path);
    this.#statements = new Map();
    this.#db.exec(SCHEMA);
    const check = z.object({ quick_check: z.string() }).parse(this.#db.prepare("PRAGMA quick_check(1)").get());
    if (check.quick_check !== "ok") throw new NotOurs(check.quick_check);
    this.#sql("INSERT OR IGNORE INTO meta VALUES ('stream', ?), ('last', '0')").run(randomUUID());
    this.#stream = this.#meta("stream");
    this.#last = z.coerce.number().int().min(0).parse(this.#meta("last"));
    this.#count = z.object({ n: z.number() }).parse(this.#sql("SELECT count(*) AS n FROM events").get()).n;
  }

  /** Moves a broken spool aside (one is kept, for whoever looks into it) and begins a new stream. */
  #startOver(why: unknown): void {
    this.close();
    const aside = `${this.#path}.corrupt`;
    for (const suffix of ["", "-wal", "-shm"]) {
      rmSync(aside + suffix, { force: true });
      if (existsSync(this.#path + suffix)) renameSync(this.#path + suffix, aside + suffix);
    }
    this.#log.error({ err: String(why), movedTo: aside }, "the event spool is corrupt: moved aside, a new one begins");
    this.#open();
  }

  #write(type: EventType, sessionId: SessionId | null, data: string, beside: () => void): void {
    const seq = this.#last + 1;
    let count = this.#count;
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      if (count >= this.#limit) count -= this.#dropOldest(count - this.#limit + 1);
      this.#sql("INSERT INTO events VALUES (?, ?, ?, ?, ?)").run(seq, type, sessionId, timestamp(this.#clock), data);
      this.#sql("UPDATE meta SET value = ? WHERE key = 'last'").run(String(seq));
      beside();
      this.#db.exec("COMMIT");
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
    this.#last = seq;
    this.#count = count + 1;
  }

  /** Makes room for `need` rows; answers with how many rows less there are. The stand-in takes a row itself. */
  #dropOldest(need: number): number {
    const oldest = z.array(Row).parse(this.#sql("SELECT * FROM events ORDER BY seq LIMIT ?").all(need + 1));
    const final = oldest.at(-1);
    if (!final) return 0;
    const count = oldest.reduce((sum, row) => sum + droppedBefore(row), 0);
    this.#sql("DELETE FROM events WHERE seq <= ?").run(final.seq);
    this.#sql("INSERT INTO events VALUES (?, 'spool.dropped', NULL, ?, ?)").run(
      final.seq,
      timestamp(this.#clock),
      JSON.stringify({ count }),
    );
    return oldest.length - 1;
  }

  #setObserved(sessionId: SessionId, observed: Observed | null): void {
    if (observed === null) this.#sql("DELETE FROM observed WHERE session_id = ?").run(sessionId);
    else {
      this.#sql("INSERT OR REPLACE INTO observed VALUES (?, ?, ?, ?)").run(
        sessionId,
        observed.containerId,
        observed.running ? 1 : 0,
        observed.startedAt,
      );
    }
  }

  #event(row: z.infer<typeof Row>): AgentEvent {
    return AgentEvent.parse({
      seq: row.seq,
      stream: this.#stream,
      type: row.type,
      agent_id: this.#agentId,
      ...(row.session_id === null ? {} : { session_id: row.session_id }),
      timestamp: row.timestamp,
      data: JSON.parse(row.data) as unknown,
    });
  }

  #meta(key: string): string {
    return z.object({ value: z.string() }).parse(this.#sql("SELECT value FROM meta WHERE key = ?").get(key)).value;
  }

  #sql(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (!statement) this.#statements.set(text, (statement = this.#db.prepare(text)));
    return statement;
  }
}

/** How many events a row that goes stands for: itself, or those a stand-in stood for. */
function droppedBefore(row: z.infer<typeof Row>): number {
  if (row.type !== "spool.dropped") return 1;
  return Dropped.parse(JSON.parse(row.data)).count;
}

class NotOurs extends Error {}

/** SQLITE_CORRUPT and SQLITE_NOTADB. */
function isCorruption(error: unknown): boolean {
  return [11, 26].includes(sqliteCode(error));
}

/** A database that is whole, but not one of this program: other tables (SQLITE_ERROR), or other things in them. */
function isForeign(error: unknown): boolean {
  return error instanceof NotOurs || error instanceof z.ZodError || sqliteCode(error) === 1;
}

/** SQLite's primary code of an error; 0 when it is none of SQLite's. */
function sqliteCode(error: unknown): number {
  return typeof error === "object" && error !== null && "errcode" in error ? Number(error.errcode) & 0xff : 0;
}
