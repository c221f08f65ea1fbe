import type { AgentId, Session, SessionId, SessionStatus } from "../../domain/index.js";
import type { ContainerState } from "../containers/engine.js";
import type { Held } from "./locks.js";
import type { Metadata } from "./metadata.js";

/** What is known of a session's container: its state, that there is none, or why Docker could not be asked. */
export type ContainerKnowledge = { container: ContainerState | null } | { error: string };

/** What a running status says of its CLI. */
export type RunningActivity = Pick<Extract<SessionStatus, { state: "running" }>, "activity" | "starting">;

function sessionStatus(
  known: ContainerKnowledge,
  held: Held | undefined,
  attached: number,
  activity: (startedAt: string) => RunningActivity = () => ({}),
): SessionStatus {
  if (held) {
    const { operation, since, stale } = held;
    return { state: "locked", operation, since, ...(stale ? { stale } : {}) };
  }
  if ("error" in known) return { state: "error", message: known.error };
  const { container } = known;
  if (!container?.startedAt) return { state: "stopped", exit_code: null, oom_killed: false };
  if (container.running) {
    const oom = container.oomKills ? { oom_kills: container.oomKills } : {};
    return { state: "running", attached, started_at: container.startedAt, ...oom, ...activity(container.startedAt) };
  }
  // Docker remembers that there was a kill in it; one that ended well after that was not ended by it.
  const oomKilled = container.oomKilled && container.exitCode !== 0;
  return { state: "stopped", exit_code: container.exitCode, oom_killed: oomKilled };
}

export function sessionView(
  agentId: AgentId,
  metadata: Metadata,
  known: ContainerKnowledge,
  held: Held | undefined,
  attached: number,
  activity: (id: SessionId, startedAt: string) => RunningActivity = () => ({}),
): Session {
  const { transfer } = metadata;
  return {
    id: metadata.id,
    name: metadata.name,
    agent_id: agentId,
    port: metadata.port,
    protocol: metadata.protocol,
    dns_name: metadata.dns_name,
    public: metadata.public,
    docker: metadata.docker,
    // Without a container there is nothing that differs.
    restart_to_apply: metadata.restart_to_apply && !("container" in known && known.container === null),
    limits: metadata.limits,
    created_at: metadata.created_at,
    last_accessed_at: metadata.last_accessed_at,
    image: "container" in known ? (known.container?.image ?? null) : null,
    ...(transfer?.state === "moved"
      ? { moved_to: transfer.to, status: { state: "locked", operation: "move", since: transfer.since, stale: true } }
      : { status: sessionStatus(known, held, attached, (startedAt) => activity(metadata.id, startedAt)) }),
  };
}
