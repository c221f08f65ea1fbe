import { constants } from "node:fs";
import { access, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import {
  agentPaths,
  ConvocateError,
  DnsName,
  FORMER_SESSION_FILE,
  NO_AGENT,
  SessionId,
  type Session,
} from "../../domain/index.js";
import { findServiceUser } from "./service-user.js";

/** A former `session.json` has a dozen short fields. */
const MAX_FILE_BYTES = 64 * 1024;

/** What earlier releases wrote. What is missing or odd in it hides no orphan: it is shown as far as it can be read. */
const Former = z.object({
  uuid: z.string(),
  name: z.string().catch(""),
  port: z.int().min(0).max(65535).catch(0),
  protocol: z.enum(["tcp", "udp"]).catch("tcp"),
  dns_name: DnsName.nullable().catch(null),
  created_at: z.iso.datetime({ offset: true }).nullable().catch(null),
  last_accessed: z.iso.datetime({ offset: true }).nullable().catch(null),
});

/** An agent adopts what lies there (SPEC 6.7), so only a shell host that is none has orphans. */
export async function homeOfOrphans(): Promise<string | null> {
  const isAgent = await access(agentPaths.agentId).then(
    () => true,
    (error: unknown) => (error as NodeJS.ErrnoException).code !== "ENOENT",
  );
  return isAgent ? null : ((await findServiceUser())?.home ?? null);
}

/** The sessions of earlier releases on a shell host that is no agent: listed, never touched but to delete them. */
export class Orphans {
  readonly #home: string | null;
  #sessions = new Map<SessionId, Session>();

  /** `home` is the service user's; null where there can be none (an agent adopts its own). */
  constructor(home: string | null) {
    this.#home = home;
  }

  sessions(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** Looks again. A folder that cannot be read has none to show. */
  async look(): Promise<void> {
    if (this.#home === null) return;
    const entries = await readdir(this.#home, { withFileTypes: true }).catch(() => []);
    const found = new Map<SessionId, Session>();
    for (const entry of entries) {
      const id = SessionId.safeParse(entry.name);
      // A link may lead anywhere; a session's home is a directory of its own.
      if (!id.success || !entry.isDirectory()) continue;
      const session = await readFormer(join(this.#home, id.data), id.data);
      if (session) found.set(id.data, session);
    }
    this.#sessions = found;
  }

  /** Throws ORPHAN_NEEDS_MIGRATION when that session is one. */
  refuse(id: SessionId): void {
    const session = this.#sessions.get(id);
    if (!session) return;
    throw new ConvocateError(
      "ORPHAN_NEEDS_MIGRATION",
      `session ${session.name} is on no agent yet: move it to one with \`convocate-host migrate-session --agent AGENT --session ${id}\``,
    );
  }

  /**
   * Deletes an orphan's directory; false when there is none of that id. It disappears from the list in one step, whatever
   * becomes of its files. @throws ConvocateError IO_ERROR when some of them are another user's.
   */
  async delete(id: SessionId): Promise<boolean> {
    if (this.#home === null || !this.#sessions.has(id)) return false;
    const away = join(this.#home, `.deleted-${id}`);
    try {
      await rename(join(this.#home, id), away);
      this.#sessions.delete(id);
      await rm(away, { recursive: true, force: true });
    } catch (cause) {
      throw new ConvocateError(
        "IO_ERROR",
        `cannot delete all of ${away}: finish with \`sudo rm -r ${away}\` (${String(cause)})`,
        { cause },
      );
    }
    return true;
  }
}

async function readFormer(path: string, id: SessionId): Promise<Session | null> {
  const former = Former.safeParse(await readJson(join(path, FORMER_SESSION_FILE)));
  if (!former.success || former.data.uuid !== id) return null;
  const { name, port, protocol, dns_name, created_at, last_accessed } = former.data;
  const createdAt = created_at ?? new Date(0).toISOString();
  return {
    id,
    name: name.replace(/^-|[^A-Za-z0-9_-]/g, "_").slice(0, 64) || id.slice(0, 8),
    agent_id: NO_AGENT,
    port,
    protocol,
    dns_name,
    public: false,
    docker: false,
    restart_to_apply: false,
    limits: {},
    created_at: createdAt,
    last_accessed_at: last_accessed ?? createdAt,
    image: null,
    status: { state: "orphan", path },
  };
}

async function readJson(path: string): Promise<unknown> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > MAX_FILE_BYTES) return null;
    return JSON.parse(await file.readFile("utf8"));
  } catch {
    return null;
  }
}
