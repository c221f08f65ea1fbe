import { z } from "zod";
import { ConvocateError } from "../../domain/index.js";
import { systemClock, within } from "../clock.js";

/** Docker answers most calls at once or not at all; whoever waits for one is to be told within 10 s. */
export const QUICK_MS = 8_000;

/** What Docker's client threw, as an error that says what to do. */
export function explain(what: string, socketPath: string, error: unknown): ConvocateError {
  const cause = error instanceof Error ? error : new Error(String(error));
  const code = "code" in cause ? cause.code : undefined;
  if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ECONNRESET" || code === "EPIPE") {
    return new ConvocateError(
      "DOCKER_ERROR",
      `Docker does not answer at ${socketPath}: see \`systemctl status docker\` on this host`,
      { cause },
    );
  }
  if (cause.name === "AbortError" || cause.name === "TimeoutError") {
    return new ConvocateError("TIMEOUT", `Docker did not answer ${what} in time: see \`journalctl -u docker\``, {
      cause,
    });
  }
  return new ConvocateError("DOCKER_ERROR", `Docker refused ${what}: ${dockerMessage(cause)}`, { cause });
}

/** The answer within QUICK_MS, or TIMEOUT; for those of Docker's client that take no signal. */
export async function inTime<T>(what: string, answer: Promise<T>): Promise<T> {
  return await within(systemClock, QUICK_MS, answer, () => {
    throw new ConvocateError("TIMEOUT", `Docker did not answer ${what} in time: see \`journalctl -u docker\``);
  });
}

/** HTTP status of Docker's answer, also below errors of ours; null when there was none. */
export function statusOf(error: unknown): number | null {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ("statusCode" in at && typeof at.statusCode === "number") return at.statusCode;
  }
  return null;
}

/** Swallows Docker's answers of these statuses: what was asked for is so already. */
export function unless(...statuses: number[]): (error: unknown) => void {
  return (error) => {
    const status = statusOf(error);
    if (status === null || !statuses.includes(status)) throw error;
  };
}

/** Docker's answer to an exec in a container that is missing or stopped, as SESSION_NOT_RUNNING. */
export function notRunning(error: unknown): never {
  const status = statusOf(error);
  if (status === 404 || status === 409) {
    throw new ConvocateError("SESSION_NOT_RUNNING", "the session does not run", { cause: error });
  }
  throw error;
}

function dockerMessage(error: Error): string {
  const json = "json" in error ? z.object({ message: z.string() }).safeParse(error.json) : null;
  return (json?.success ? json.data.message : error.message).replaceAll(/\s+/g, " ").trim();
}
