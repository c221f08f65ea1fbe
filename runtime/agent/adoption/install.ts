import { agentPaths } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { readIdentity, type AgentPaths } from "../config.js";
import { MetadataStore } from "../sessions/metadata.js";
import { findCandidates, type Candidates, type Refused } from "./adopt.js";
import { systemdService, type Service } from "./service.js";

export interface Adoption {
  adopted: { id: string; name: string }[];
  /** Sessions in the service user's home that were this agent's already. */
  known: number;
  refused: Refused[];
}

/**
 * `convocate-agent install`: takes over the sessions that an earlier release left on this host (SPEC 6.7). Run again, it
 * takes over what is left. Their containers, and what is in their homes, stay as they are.
 *
 * A running agent has all sessions in memory and reserves ports there, so it is stopped while metadata is written and started
 * again; that is a second or two without a control plane, in which sessions go on. With nothing to adopt it is left alone.
 * @throws ConvocateError IO_ERROR when this host is no agent or its files cannot be written, COMMAND_FAILED when the agent
 * does not stop or start.
 */
export async function adoptSessions(options: { log: Log; paths?: AgentPaths; service?: Service }): Promise<Adoption> {
  const { log, paths = agentPaths, service = systemdService } = options;
  const { settings } = await readIdentity(paths);
  const look = async (close: boolean): Promise<{ store: MetadataStore; found: Candidates }> => {
    const store = await MetadataStore.open(paths.sessions, log);
    return { store, found: await findCandidates(settings, store, { close }) };
  };
  const before = (await look(false)).found;
  if (before.sessions.length === 0) return { adopted: [], known: before.known, refused: before.refused };

  const wasRunning = await service.stop();
  try {
    const { store, found } = await look(true);
    await store.tidy();
    for (const session of found.sessions) await store.put(session);
    const adopted = found.sessions.map(({ id, name }) => ({ id, name }));
    return { adopted, known: found.known, refused: found.refused };
  } finally {
    // Also when it failed: what was there before must be served.
    if (wasRunning) await service.restart();
  }
}
