import { randomInt, randomUUID } from "node:crypto";
import { z } from "zod";

/**
 * Branded ids: a raw string never becomes a path. Only these schemas make them.
 * A session's id is a canonical lower-case UUID; an agent's id is 8 characters of [a-z0-9] (SPEC 4, 5.1).
 */
export const SessionId = z
  .string()
  .regex(
    /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    "must be a canonical lower-case UUID",
  )
  .brand("SessionId");
export type SessionId = z.infer<typeof SessionId>;

export const AgentId = z
  .string()
  .regex(/^[a-z0-9]{8}$/, "must be 8 characters of a-z and 0-9")
  .brand("AgentId");
export type AgentId = z.infer<typeof AgentId>;

/** Stands where an agent's id would in a session that is on no agent: an orphan (SPEC 6.7). */
export const NO_AGENT: AgentId = AgentId.parse("00000000");

export function newSessionId(): SessionId {
  return SessionId.parse(randomUUID());
}

export function newAgentId(): AgentId {
  const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
  return AgentId.parse(Array.from({ length: 8 }, () => alphabet.charAt(randomInt(alphabet.length))).join(""));
}
