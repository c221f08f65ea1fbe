import { toConvocateError, type SessionId } from "../../domain/index.js";
import { QUESTION_TIMEOUT_MS, type Agent } from "../agents/agent.js";
import type { LogOptions, SessionLogLine } from "../cluster.js";
import { normal, readSessionLog } from "./session-log.js";

/** Of one question to an agent (protocol/rpc/ops.ts). */
const MOST_LINES = 5000;
/** What is here already need not wait long for an agent that was away a moment ago. */
const AWAY_TIMEOUT_MS = 1000;

/**
 * A session's log: what was forwarded to this host, and then what its agent has beyond that, which is the last moment's, or all
 * of it where forwarding does not work. Null when it is on no agent and nothing of it was forwarded. Throws what the agent
 * throws, unless it cannot be reached and something was forwarded.
 */
export async function gatherLog(
  folder: string,
  id: SessionId,
  agent: Pick<Agent, "id" | "reachable" | "callAgain"> | null,
  { lines = 200, after, whole, signal }: LogOptions,
): Promise<SessionLogLine[] | null> {
  const forwarded = await readSessionLog(folder, id, { lines, after, whole, signal });
  if (agent === null) return forwarded?.length ? forwarded : null;
  const newest = forwarded?.findLast((line) => line.agent_id === agent.id)?.timestamp ?? after;
  const timeoutMs = forwarded === null || agent.reachable ? QUESTION_TIMEOUT_MS : AWAY_TIMEOUT_MS;
  try {
    const params = { id, lines: Math.min(lines, MOST_LINES), ...(newest === undefined ? {} : { after: newest }) };
    const answer = await agent.callAgain("logs", params, timeoutMs);
    const fresh = answer.lines.map(({ timestamp, text }) => ({
      // An agent of an earlier release tells nanoseconds.
      timestamp: normal(timestamp) ?? timestamp,
      text,
      agent_id: agent.id,
    }));
    return [...(forwarded ?? []), ...fresh].slice(-lines);
  } catch (thrown) {
    if (forwarded && toConvocateError(thrown).exitCode === 3) return forwarded;
    throw thrown;
  }
}
