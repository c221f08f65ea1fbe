import { join } from "node:path";
import { agentPaths } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { systemClock } from "../clock.js";
import { readIdentity, type AgentPaths } from "../config.js";
import { Spool, SPOOL_FILE } from "../events/spool.js";
import { LockFiles } from "../sessions/lock-files.js";
import { LOCK_WAIT_MS, Locks } from "../sessions/locks.js";
import { MetadataStore, type Metadata } from "../sessions/metadata.js";
import { TransferRecords } from "../transfer/records.js";
import { adopt, findCandidates, type Refused } from "./adopt.js";
import { systemdService, type Service } from "./service.js";

export interface Adoption {
  adopted: { id: string; name: string }[];
  /** Sessions in the service user's home that were this agent's already. */
  known: number;
  refused: Refused[];
}

/**
 * `convocate-agent install`: takes over the sessions that an earlier release left on this host (SPEC 6.7), as every start of
 * the agent does, and says what it refused. Run again, it takes over what is left. Their containers, and what is in their
 * homes, stay as they are.
 *
 * A running agent has all sessions in memory and reserves ports there, so it is stopped while metadata is written and started
 * again; that is a second or two without a control plane, in which sessions go on. With nothing to adopt it is left alone.
 * @throws ConvocateError IO_ERROR when this host is no agent or its files cannot be written, COMMAND_FAILED when the agent
 * does not stop or start.
 */
export async function adoptSessions(options: { log: Log; paths?: AgentPaths; service?: Service }): Promise<Adoption> {
  const { log, paths = agentPaths, service = systemdService } = options;
  const { agentId, settings } = await readIdentity(paths);
  const before = await MetadataStore.open(paths.sessions, log);
  const seen = await findCandidates(settings, before, { close: false, held: await waiting(paths, log) });
  if (seen.sessions.length === 0) return { adopted: [], known: seen.known, refused: seen.refused };

  const wasRunning = await service.stop();
  try {
    const store = await MetadataStore.open(paths.sessions, log);
    await store.tidy();
    const lockFiles = new LockFiles(paths.locks, log);
    await lockFiles.tidy();
    using spool = new Spool({ path: join(paths.events, SPOOL_FILE), agentId, clock: systemClock, log });
    const { sessions, known, refused } = await adopt(settings, {
      store,
      locks: new Locks(systemClock, LOCK_WAIT_MS, lockFiles),
      events: { emit: (type, id, data) => spool.append(type, id, data) },
      held: await waiting(paths, log),
    });
    return { adopted: sessions.map(({ id, name }) => ({ id, name })), known, refused };
  } finally {
    // Also when it failed: what was there before must be served.
    if (wasRunning) await service.restart();
  }
}

async function waiting(paths: AgentPaths, log: Log): Promise<Metadata[]> {
  return (await TransferRecords.open(paths.transfers, log)).waiting();
}
