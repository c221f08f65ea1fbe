import type { TestCluster } from "../support/cluster.js";
import { percentile, type Figure } from "./figures.js";
import { onShell } from "./on-shell.js";

const AGENTS = 10;
const SESSIONS = 100;

/** `convocate ls` of 1,000 sessions on 10 agents, on the shell host, by the service user. */
export async function measureLs(cluster: TestCluster, runs: number): Promise<Figure[]> {
  const printed = await onShell(cluster, "ls-main.mjs", { agents: AGENTS, sessions: SESSIONS, runs: runs + 1 });
  // The first one compiles what the others read from the cache, once a release.
  const times = (printed as number[]).slice(1);
  return [50, 95].map((p) => ({
    what: `\`ls\` of ${AGENTS * SESSIONS} sessions on ${AGENTS} agents, p${p}`,
    ours: percentile(times, p),
    beside: null,
    target: p === 50 ? { kind: "value", atMost: 300 } : null,
    samples: times.length,
  }));
}
