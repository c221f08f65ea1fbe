import { ConvocateError, shellPaths, type AgentId, type SessionId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import type { MoveResult } from "../cluster.js";
import { refuseTakenName } from "../dns/taken.js";
import { Agent } from "./agent.js";
import { migrateOrphan, type OrphanSource } from "./migrate.js";
import { openCluster } from "./open.js";
import { homeOfOrphans } from "./orphans.js";
import { Registry, type AgentEntry } from "./registry.js";
import { findServiceUser } from "./service-user.js";
import type { TransferOptions } from "./transfer.js";

const LIST_TIMEOUT_MS = 2_000;

/** Where orphans lie on this host, and whose they are to be. @throws ConvocateError REFUSED where there can be none. */
export async function orphansHere(): Promise<{ home: string; owner: { uid: number; gid: number } }> {
  const [home, owner] = await Promise.all([homeOfOrphans(), findServiceUser()]);
  if (home !== null && owner !== null) return { home, owner };
  throw new ConvocateError(
    "REFUSED",
    owner === null
      ? "this host has no service user yet: set it up with `convocate-host init-shell`"
      : "this host is an agent, which adopts what lies here: `sudo convocate-agent install` says what it refused",
  );
}

/** Takes an orphan of this host to an agent that it knows. @throws ConvocateError as `migrateOrphan`, AGENT_NOT_FOUND. */
export async function migrateToAgent(
  id: SessionId,
  to: AgentId,
  source: OrphanSource,
  options: TransferOptions,
): Promise<MoveResult> {
  const entry = await entryOf(to);
  await using cluster = await openCluster({ orphans: null, ...(options.signal && { signal: options.signal }) });
  await using agent = new Agent(entry, { log: silentLog, onChange: () => undefined });
  agent.start();
  const target = {
    id: agent.id,
    name: entry.name,
    call: agent.callAgain.bind(agent),
    open: (signal: AbortSignal) => agent.openChannel(signal),
  };
  return await migrateOrphan(id, source, target, {
    ...options,
    async refuse(name) {
      if (name === null) return;
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
      const silent = cluster.agents().filter(({ connection }) => connection.state !== "connected");
      await refuseTakenName({
        name,
        own: id,
        sessions: cluster.sessions(),
        silent: new Set(silent.map((one) => one.id)),
        hostsFile: shellPaths.dnsmasqHosts,
      });
    },
  });
}

async function entryOf(id: AgentId): Promise<AgentEntry> {
  const entries = new Map<AgentId, AgentEntry>();
  using registry = new Registry(shellPaths.agentKeys, silentLog, (one, entry) => {
    if (entry) entries.set(one, entry);
  });
  await registry.start();
  const entry = entries.get(id);
  if (entry) return entry;
  throw new ConvocateError("AGENT_NOT_FOUND", `no agent ${id} here: see \`convocate agents\``);
}
