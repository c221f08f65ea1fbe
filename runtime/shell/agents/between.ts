import { ConvocateError, type AgentId, type SessionId } from "../../domain/index.js";
import type { OpResult } from "../../protocol/rpc/ops.js";
import type { MoveResult } from "../cluster.js";
import { QUESTION_TIMEOUT_MS, type Agent } from "./agent.js";
import type { Agents } from "./agents.js";
import { cloneTo } from "./clone.js";
import { finishMove, moveSession } from "./move.js";
import type { TransferOptions, TransferPeer } from "./transfer.js";

/** A copy on another agent. */
export async function cloneBetween(
  id: SessionId,
  name: string,
  from: Agent,
  to: Agent,
  options: TransferOptions,
): Promise<OpResult<"clone">> {
  return await cloneTo(id, name, peerOf(from), peerOf(to), options);
}

/**
 * Moves a session to `to`, after it has ended what was cut off before. `holderOf` is asked after that.
 * @throws ConvocateError; the session is whole then, on one agent, and the same call goes on with it.
 */
export async function moveBetween(
  agents: Agents,
  id: SessionId,
  to: AgentId,
  holderOf: (id: SessionId) => Agent,
  options: TransferOptions,
): Promise<MoveResult> {
  const target = agents.get(to);
  const finished = await finishMoves(agents, id, options);
  const holder = holderOf(id);
  if (holder === target) {
    const session = await target.callAgain("get", { id }, QUESTION_TIMEOUT_MS);
    return { session, skipped: [], skipped_total: 0, warnings: finished };
  }
  try {
    const moved = await moveSession(id, peerOf(holder), peerOf(target), options);
    target.remember(moved.session);
    return { ...moved, warnings: [...finished, ...moved.warnings] };
  } finally {
    await Promise.allSettled([holder.refresh(QUESTION_TIMEOUT_MS), target.refresh(QUESTION_TIMEOUT_MS)]);
  }
}

/** Ends moves of this session that were cut off. Answers with what an operator should know. */
async function finishMoves(agents: Agents, id: SessionId, options: TransferOptions): Promise<string[]> {
  const warnings: string[] = [];
  for (const source of agents.all()) {
    if (source.session(id)?.moved_to === undefined) continue;
    const peer = peerOf(source);
    const look = await peer.call("export", { phase: "look", id }, QUESTION_TIMEOUT_MS);
    if (look.state !== "moved") continue;
    const target = agents.find(look.to);
    if (!target)
      throw new ConvocateError(
        "AGENT_NOT_FOUND",
        `session ${id} moved to agent ${look.to}, which is no agent of this cluster any more: if it is gone for good, take ` +
          `the session back with \`convocate override ${id} --force\``,
      );
    const finished = await finishMove(id, look, peer, peerOf(target), options);
    if (finished.state !== "undone") warnings.push(...finished.warnings);
    await Promise.all([source.refresh(QUESTION_TIMEOUT_MS), target.refresh(QUESTION_TIMEOUT_MS)]);
  }
  return warnings;
}

function peerOf(agent: Agent): TransferPeer {
  return {
    id: agent.id,
    name: agent.entry.name,
    call: (op, params, timeoutMs) => agent.callAgain(op, params, timeoutMs),
    open: (signal) => agent.openChannel(signal),
  };
}
