import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { AgentId, type SessionId } from "../../domain/index.js";
import type { LogOptions, SessionLogLine } from "../cluster.js";
import { blocksFromEnd, blocksOfGzip } from "./blocks.js";

/** Of a file that all of an agent's sessions share: some hours of a busy agent. */
const RECENT_BYTES = 8 * 1024 * 1024;
/** Lines may come a little out of order: of two processes, over a clock that was set. */
const SLACK_MS = 120_000;
const MAX_TEXT = 4096;
/** `TIMESTAMP SESSION-ID text`, as the shell's rsyslog writes what an agent forwarded (infra's rsyslog texts). */
const LINE = /^(\S+) (\S+) ?(.*)$/;
/** An agent's file and what logrotate made of it. */
const NAME = /^([a-z0-9]{8})\.log(?:\.(\d{1,4})(\.gz)?)?$/;

interface File {
  path: string;
  agent: AgentId;
  /** 0 for the one that is written now; then 1, 2, … with age. */
  age: number;
  compressed: boolean;
}

/**
 * The last lines of a session's log in what agents have forwarded to this host (SPEC 9), oldest first, and each once: rsyslog
 * repeats some after a connection broke. Of all agents, since a session may have moved; whoever reads must be told when a
 * line is another agent's. Null when there is nothing here that this user may read.
 */
export async function readSessionLog(
  folder: string,
  session: SessionId,
  options: LogOptions & { lines: number },
): Promise<SessionLogLine[] | null> {
  const files = await logFiles(folder).catch(() => null);
  if (files === null || files.size === 0) return null;
  const found: SessionLogLine[] = [];
  let readable = false;
  for (const ofAgent of files.values()) {
    const lines = await readAgent(ofAgent, session, options).catch((error: unknown) => {
      options.signal?.throwIfAborted();
      if (isDenied(error)) return null;
      throw error;
    });
    if (lines === null) continue;
    readable = true;
    found.push(...lines);
  }
  if (!readable) return null;
  found.sort((a, b) => (a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0));
  return found.slice(-options.lines);
}

async function logFiles(folder: string): Promise<Map<AgentId, File[]>> {
  const files = new Map<AgentId, File[]>();
  for (const name of await readdir(folder)) {
    const [, id = "", age, gz] = NAME.exec(name) ?? [];
    const agent = AgentId.safeParse(id);
    if (!agent.success) continue;
    const file = { path: join(folder, name), agent: agent.data, age: Number(age ?? 0), compressed: gz !== undefined };
    files.set(agent.data, [...(files.get(agent.data) ?? []), file]);
  }
  for (const ofAgent of files.values()) ofAgent.sort((a, b) => a.age - b.age);
  return files;
}

/** From the newest file on, until there are enough lines, or they are too old. */
async function readAgent(
  files: readonly File[],
  session: SessionId,
  { lines, after, whole = false, signal }: LogOptions & { lines: number },
): Promise<SessionLogLine[]> {
  const afterMs = after === undefined ? -Infinity : Date.parse(after);
  const found = new Found(session, after === undefined ? null : normal(after));
  let bytes = 0;
  for (const { path, agent, compressed } of files) {
    if (found.lines.length >= lines || (!whole && (compressed || bytes >= RECENT_BYTES))) break;
    // Rotated away since the folder was read: its lines are in the next one, which is read then.
    const about = await stat(path).catch(() => null);
    if (about === null) continue;
    if (about.mtimeMs < afterMs) break;
    const inFile: SessionLogLine[] = [];
    for await (const block of compressed ? blocksOfGzip(path) : blocksFromEnd(path)) {
      signal?.throwIfAborted();
      bytes += block.length;
      const inBlock = found.in(block, agent);
      if (compressed) {
        inFile.push(...inBlock);
        if (inFile.length > 2 * lines) inFile.splice(0, inFile.length - lines);
        continue;
      }
      inFile.unshift(...inBlock);
      if (found.lines.length + inFile.length >= lines || (!whole && bytes >= RECENT_BYTES)) break;
      if (firstTime(block) < afterMs - SLACK_MS) break;
    }
    found.lines.unshift(...inFile);
  }
  return found.lines.slice(-lines);
}

class Found {
  lines: SessionLogLine[] = [];
  readonly #seen = new Set<string>();
  readonly #id: Buffer;
  readonly #session: SessionId;
  readonly #after: string | null;

  constructor(session: SessionId, after: string | null) {
    this.#session = session;
    this.#id = Buffer.from(` ${session}`);
    this.#after = after;
  }

  /** The session's lines in a block, in its order. */
  in(block: Buffer, agent: AgentId): SessionLogLine[] {
    // Most blocks have none, and need not become text.
    if (!block.includes(this.#id)) return [];
    const lines: SessionLogLine[] = [];
    for (const line of block.toString("utf8").split("\n")) {
      const [, time = "", tag, text = ""] = LINE.exec(line) ?? [];
      if (tag !== this.#session) continue;
      const timestamp = normal(time);
      if (timestamp === null || (this.#after !== null && timestamp <= this.#after)) continue;
      const said = text.trimStart().slice(0, MAX_TEXT);
      const key = `${timestamp} ${said}`;
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      lines.push({ timestamp, text: said, agent_id: agent });
    }
    return lines;
  }
}

/** A time of RFC 3339 in UTC with microseconds, so that times compare as text; null when it is none. */
export function normal(timestamp: string): string | null {
  const ms = Date.parse(timestamp);
  if (Number.isNaN(ms)) return null;
  const fraction = (/\.(\d+)/.exec(timestamp)?.[1] ?? "").padEnd(6, "0").slice(0, 6);
  return `${new Date(ms).toISOString().slice(0, 19)}.${fraction}Z`;
}

function firstTime(block: Buffer): number {
  return Date.parse(block.toString("utf8", 0, Math.max(0, block.indexOf(32))));
}

function isDenied(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EACCES" || error.code === "ENOENT");
}
