import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { byText, ConvocateError, FORMER_SESSION_FILE, SessionId, type AgentSettings } from "../../domain/index.js";
import { isMissing } from "../../protocol/files.js";
import type { EventSink } from "../events/sink.js";
import type { Locks } from "../sessions/locks.js";
import { tellCreated } from "../sessions/maker.js";
import { Metadata, type MetadataStore } from "../sessions/metadata.js";
import { choosePort, refuseReserved } from "../sessions/ports.js";
import { readFormer, type FormerSession } from "./former.js";

export interface Refused {
  /** The directory's name below the service user's home. */
  directory: string;
  reason: string;
}

/** What there is to adopt: `sessions` have no metadata yet, `known` have, `refused` cannot be. */
export interface Candidates {
  sessions: Metadata[];
  known: number;
  refused: Refused[];
}

/**
 * Looks through the service user's home for sessions that an earlier release made (SPEC 6.7). The older of two that want
 * one port or DNS name gets it; the other is refused, as a create would be. `held` is what else has ports and names here. With
 * `close`, homes to adopt are closed to others.
 */
export async function findCandidates(
  settings: AgentSettings,
  store: Pick<MetadataStore, "all" | "get" | "isUnreadable">,
  { close, held }: { close: boolean; held: readonly Metadata[] },
): Promise<Candidates> {
  const found: Candidates = { sessions: [], known: 0, refused: [] };
  const formers: FormerSession[] = [];
  for (const directory of (await namesIn(settings.home)).sort()) {
    const id = SessionId.safeParse(directory);
    if (id.success && store.get(id.data)) {
      found.known += 1;
      continue;
    }
    if (!(await looksLikeSession(settings.home, directory))) continue;
    if (id.success && store.isUnreadable(id.data)) {
      found.refused.push({
        directory,
        reason: "it is a session already, but its metadata here cannot be read: mend that",
      });
      continue;
    }
    const read = await readFormer(settings.home, directory, settings, close);
    if (read.ok) formers.push(read.former);
    else found.refused.push({ directory, reason: read.why });
  }
  formers.sort((a, b) => byText(a.created_at, b.created_at) || byText(a.uuid, b.uuid));
  for (const former of formers) {
    const why = clash(former, [...store.all(), ...held, ...found.sessions], settings.reserved_ports);
    if (why === null) found.sessions.push(metadataOf(former));
    else found.refused.push({ directory: former.uuid, reason: why });
  }
  return found;
}

/**
 * Makes sessions of this agent of what can be adopted, and tells of each, as of a create; for the one process that writes
 * metadata. Cut off between the two, it is told by the agent's next start, by the lock.
 */
export async function adopt(
  settings: AgentSettings,
  {
    store,
    locks,
    events,
    held,
  }: {
    store: MetadataStore;
    locks: Locks;
    events: EventSink;
    /** Sessions that another agent sent and that wait here: theirs are their ports and DNS names. */
    held: readonly Metadata[];
  },
): Promise<Candidates> {
  const found = await findCandidates(settings, store, { close: true, held });
  for (const session of found.sessions)
    await locks.run(session.id, "create", async () => {
      await store.put(session);
      tellCreated(events, session);
    });
  return found;
}

async function namesIn(home: string): Promise<string[]> {
  try {
    return await readdir(home);
  } catch (cause) {
    if (isMissing(cause)) return [];
    throw new ConvocateError("IO_ERROR", `cannot read ${home}: run \`convocate-host init-agent\` for this host`, {
      cause,
    });
  }
}

/** What is named like a session, or has a session's file, was meant as one; all else in that home is nobody's business. */
async function looksLikeSession(home: string, directory: string): Promise<boolean> {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(directory)) return true;
  if (directory.startsWith(".")) return false;
  const folder = await lstat(join(home, directory)).catch(() => null);
  if (!folder?.isDirectory()) return false;
  return (await lstat(join(home, directory, FORMER_SESSION_FILE)).catch(() => null)) !== null;
}

/** Why it cannot be beside these, or null. */
function clash(former: FormerSession, others: readonly Metadata[], reserved: readonly number[]): string | null {
  try {
    refuseReserved(former.port, reserved);
    choosePort(former.port, former.protocol, others, reserved);
  } catch (error) {
    if (!(error instanceof ConvocateError)) throw error;
    return `port ${former.port}/${former.protocol} belongs to another session or the host itself: change port in its ${FORMER_SESSION_FILE} (0 for none)`;
  }
  const holder = former.dns_name === null ? undefined : others.find((one) => one.dns_name === former.dns_name);
  if (!holder) return null;
  return `the DNS name ${former.dns_name ?? ""} belongs to session ${holder.name} (${holder.id}): change dns_name in its ${FORMER_SESSION_FILE}`;
}

function metadataOf(former: FormerSession): Metadata {
  return Metadata.parse({
    id: former.uuid,
    name: former.name,
    port: former.port,
    protocol: former.protocol,
    dns_name: former.dns_name,
    limits: {},
    created_at: former.created_at,
    last_accessed_at: former.last_accessed ?? former.created_at,
    request_id: `adopted-${former.uuid}`,
    // Its conversation goes on; where there is none, the image sees that.
    started_before: true,
  });
}
