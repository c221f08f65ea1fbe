import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT, type TestCluster } from "../support/cluster.js";
import { percentile, type Figure } from "./figures.js";

const AGENTS = 10;
const SESSIONS = 100;

/**
 * `convocate ls` of 1,000 sessions on 10 agents, on the shell host, by the service user. The agents are stand-ins that speak
 * the real protocol on that host's loopback: 1,000 containers would measure Docker.
 */
export async function measureLs(cluster: TestCluster, runs: number): Promise<Figure[]> {
  const program = await readFile(join(ROOT, "dist/bench/ls-main.mjs"));
  const { lab } = cluster;
  await lab.sh("shell", "cat > /root/ls-main.mjs", { input: program });
  const script = `
    mount -t tmpfs -o mode=0755 none /etc/convocate/agent-keys
    node=$(awk '/^exec/ { print $2 }' /usr/local/bin/convocate)
    exec "$node" /root/ls-main.mjs /etc/convocate/agent-keys ${AGENTS} ${SESSIONS} $(id -u claude) $(id -g claude) /home/claude ${runs + 1}`;
  const { stdout, stderr, exitCode } = await lab.exec("shell", ["unshare", "--mount", "bash", "-ec", script], {
    timeoutMs: 300_000,
  });
  if (exitCode !== 0) throw new Error(`ls on the shell host ended with ${exitCode}: ${stderr}`);
  // The first one compiles what the others read from the cache, once a release.
  const times = (JSON.parse(stdout) as number[]).slice(1);
  return [50, 95].map((p) => ({
    what: `\`ls\` of ${AGENTS * SESSIONS} sessions on ${AGENTS} agents, p${p}`,
    ours: percentile(times, p),
    beside: null,
    target: p === 50 ? { kind: "value", atMost: 300 } : null,
    samples: times.length,
  }));
}
