import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { labUp, type Lab } from "../lab/lab.js";
import { command, ROOT, TestCluster } from "../support/cluster.js";
import { startMessagesApi } from "../support/messages-api/server.js";

const API_PORT = 8099;

/** A lab, or nothing: one that does not come up in full is taken down again. */
export async function wholeLab(name: string, machines: number): Promise<Lab> {
  try {
    return await labUp({ name, agents: machines - 1 });
  } catch (error) {
    await command(["script/lab", "down", "--name", name]);
    throw error;
  }
}

/** Name of the agent that a one-machine cluster has on its shell host. */
export const AGENT_ON_SHELL = "agent";

/**
 * A lab of that many machines with a stack of its own, not rolled out yet. One machine is shell host and agent at once;
 * of more, the first is the shell host and the others are agents.
 */
export async function benchCluster(machines: number): Promise<TestCluster> {
  const lab = await wholeLab(`t-bench-${machines}`, machines);
  const gateway = lab.subnet.replace(/\.0\/24$/, ".1");
  const stack = `test-bench-${machines}`;
  const inventory = join(ROOT, ".convocate/labs", lab.name, "inventory.yaml");
  const [shell, ...agents] = lab.hosts;
  if (!shell) throw new Error(`lab ${lab.name} has no hosts`);
  const text = stringify({
    cluster: "bench",
    knownHosts: lab.knownHostsPath,
    shell: { name: shell.name, address: shell.address },
    agents:
      agents.length === 0
        ? [{ name: AGENT_ON_SHELL, address: shell.address }]
        : agents.map(({ name, address }) => ({ name, address })),
    defaults: {
      user: "admin",
      identityFile: lab.keyPath,
      egress: [`${gateway}:${API_PORT}`],
      session: {
        memoryBytes: 768 * 1024 * 1024,
        // Small, so that a small machine has room for many sessions.
        cpus: 0.01,
        diskBytes: 64 * 1024 * 1024,
        env: {
          ANTHROPIC_BASE_URL: `http://${gateway}:${API_PORT}`,
          ANTHROPIC_API_KEY: "sk-ant-lab-0000000000000000000000000000",
        },
      },
    },
  });
  await mkdir(join(ROOT, ".convocate/labs", lab.name), { recursive: true });
  await writeFile(inventory, text);
  const api = await startMessagesApi({ port: API_PORT, host: gateway });
  const cluster = new TestCluster(lab, stack, inventory, api);
  try {
    const select = await command([
      "script/pulumi",
      "stack",
      "select",
      "--create",
      "--stack",
      stack,
      "--non-interactive",
    ]);
    if (select.exitCode !== 0) throw new Error(`cannot make stack ${stack}: ${select.stderr}`);
    const config = await cluster.pulumi(["config", "set", "convocate:inventory", inventory]);
    if (config.exitCode !== 0) throw new Error(`cannot configure stack ${stack}: ${config.stderr}`);
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return cluster;
}

/** Takes the hosts away, and the stack with them: there is nothing left that `destroy` could visit. */
export async function takeDown(cluster: TestCluster): Promise<void> {
  await cluster.close();
  await cluster.lab.down();
  const removed = await cluster.pulumi(["stack", "rm", "--yes", "--force"]);
  if (removed.exitCode !== 0) throw new Error(`cannot remove stack ${cluster.stack}: ${removed.stderr}`);
}

/** How many resources an `up` changed, by its summary; throws when it has none. */
export function upChanges(stdout: string): number {
  const summary = /^Resources:\n((?: {4}.*\n)+)/m.exec(`${stdout}\n`)?.[1];
  if (summary === undefined) throw new Error(`pulumi's output has no summary:\n${stdout.slice(-2000)}`);
  const counts = [...summary.matchAll(/^ {4}\D*(\d+) ([a-z]+)/gm)];
  return counts.filter(([, , word]) => word !== "unchanged").reduce((sum, [, count]) => sum + Number(count), 0);
}
