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

export function notRunning(name: string): ConvocateError {
  return new ConvocateError(
    "SESSION_NOT_RUNNING",
    `session ${name} is not running: start it with \`convocate restart ${name}\``,
  );
}

/** Work in the session's container; where that does not run, the error names the session, of which Docker knows nothing. */
export async function inRunning<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ConvocateError && error.code === "SESSION_NOT_RUNNING") throw notRunning(name);
    throw error;
  }
}
