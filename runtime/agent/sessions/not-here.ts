import { ConvocateError, type SessionId } from "../../domain/index.js";
import type { Metadata } from "./metadata.js";

export function notFound(id: SessionId): ConvocateError {
  return new ConvocateError(
    "SESSION_NOT_FOUND",
    `this agent has no session ${id}: \`convocate ls\` shows those there are`,
  );
}

/** The session, unless another agent has it: SESSION_MOVED then. */
export function hereOnly(session: Metadata): Metadata {
  const { id, name, transfer } = session;
  if (transfer?.state !== "moved") return session;
  throw new ConvocateError(
    "SESSION_MOVED",
    `session ${name} (${id}) moved to agent ${transfer.to}, which was not confirmed yet: ` +
      `finish it with \`convocate move ${id} --to ${transfer.to}\``,
  );
}
