import { z } from "zod";
import { wrapperPath } from "./program.js";

/** `convocate agents --json`, as much of it as is needed here; a newer one may say more. */
const Listed = z.object({
  agents: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      release: z.string().nullish(),
      connection: z.object({ state: z.string(), error: z.string().nullish() }),
      heard: z.object({ connection: z.string() }).nullish(),
    }),
  ),
});

export type ListedAgent = z.infer<typeof Listed>["agents"][number];

/** What the shell host's `convocate agents --json` said; null for what is no such answer. Pure. */
export function parseAgents(stdout: string): ListedAgent[] | null {
  try {
    return Listed.safeParse(JSON.parse(stdout)).data?.agents ?? null;
  } catch {
    return null;
  }
}

/** Asks on the shell host for some agents, or all of them when none is named. The client refuses root: it runs as `user`. */
export const agentsArgv = (user: string, agents: readonly string[], waitSeconds: number): string[] => [
  "runuser",
  "-u",
  user,
  "--",
  wrapperPath("convocate"),
  "agents",
  ...agents,
  ...(waitSeconds > 0 ? ["--wait", String(waitSeconds)] : []),
  "--json",
];
