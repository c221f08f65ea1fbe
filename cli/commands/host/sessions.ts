import { z } from "zod";
import { ConvocateError } from "../../../runtime/domain/index.js";
import type { Connection } from "../../../infra/connection/index.js";
import { wrapperPath } from "../../../infra/host/program.js";

/** `convocate-agent list --json`, as much of it as we need; another release may say more. */
const Listed = z.object({ sessions: z.array(z.object({ id: z.string(), name: z.string() })) });
export type HostSession = z.infer<typeof Listed>["sessions"][number];

/** The sessions of a host, by its own files: also while its agent is down. None on a host that is no agent. */
export async function sessionsOf(connection: Connection, signal?: AbortSignal): Promise<HostSession[]> {
  const argv = [wrapperPath("convocate-agent"), "list", "--json"];
  const result = await connection.run(argv, { allowFailure: true, timeoutMs: 30_000, ...(signal && { signal }) });
  // What sudo and a shell answer where there is no such program.
  if (result.exitCode === 127 || (result.exitCode === 1 && (await isMissing(connection)))) return [];
  let parsed;
  try {
    parsed = Listed.safeParse(JSON.parse(result.stdout));
  } catch {
    parsed = undefined;
  }
  if (result.exitCode === 0 && parsed?.success) return parsed.data.sessions;
  throw new ConvocateError(
    "COMMAND_FAILED",
    `${connection.host.name}: its sessions cannot be listed: ${result.stderr.trim().split("\n").at(-1) ?? ""}; ` +
      `run convocate-agent list there`,
  );
}

async function isMissing(connection: Connection): Promise<boolean> {
  return (await connection.run(["test", "-e", wrapperPath("convocate-agent")], { allowFailure: true })).exitCode !== 0;
}
