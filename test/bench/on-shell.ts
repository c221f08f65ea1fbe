import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT, type TestCluster } from "../support/cluster.js";

/**
 * Runs a bundle of the bench on the shell host, as root, and returns the JSON it printed. Its agents (see stand-ins.ts) are
 * the only ones that the host knows meanwhile.
 */
export async function onShell(
  { lab }: TestCluster,
  bundle: string,
  { agents, sessions, runs }: { agents: number; sessions: number; runs: number },
): Promise<unknown> {
  const program = await readFile(join(ROOT, "dist/bench", bundle));
  await lab.sh("shell", `cat > /root/${bundle}`, { input: program });
  const script = `
    shopt -s nullglob
    keys=/etc/convocate/agent-keys
    aside=$(mktemp -d /etc/convocate/aside.XXXXXX)
    mv "$keys"/* "$aside"
    trap 'rm -rf "$keys"/*; mv "$aside"/* "$keys"; rmdir "$aside"' EXIT
    node=$(awk '/^exec/ { print $2 }' /usr/local/bin/convocate)
    "$node" /root/${bundle} "$keys" ${agents} ${sessions} $(id -u claude) $(id -g claude) /home/claude ${runs}`;
  const { stdout, stderr, exitCode } = await lab.exec("shell", ["bash", "-ec", script], {
    timeoutMs: 300_000,
  });
  if (exitCode !== 0) throw new Error(`${bundle} on the shell host ended with ${exitCode}: ${stderr}`);
  return JSON.parse(stdout) as unknown;
}
