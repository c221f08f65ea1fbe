import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT, type TestCluster } from "../support/cluster.js";

/**
 * Runs a bundle of the bench on the shell host, as root, with a folder of agents' keys of its own (see stand-ins.ts), and
 * returns the JSON it printed.
 */
export async function onShell(
  { lab }: TestCluster,
  bundle: string,
  { agents, sessions, runs }: { agents: number; sessions: number; runs: number },
): Promise<unknown> {
  const program = await readFile(join(ROOT, "dist/bench", bundle));
  await lab.sh("shell", `cat > /root/${bundle}`, { input: program });
  const script = `
    mount -t tmpfs -o mode=0755 none /etc/convocate/agent-keys
    node=$(awk '/^exec/ { print $2 }' /usr/local/bin/convocate)
    exec "$node" /root/${bundle} /etc/convocate/agent-keys ${agents} ${sessions} $(id -u claude) $(id -g claude) /home/claude ${runs}`;
  const { stdout, stderr, exitCode } = await lab.exec("shell", ["unshare", "--mount", "bash", "-ec", script], {
    timeoutMs: 300_000,
  });
  if (exitCode !== 0) throw new Error(`${bundle} on the shell host ended with ${exitCode}: ${stderr}`);
  return JSON.parse(stdout) as unknown;
}
