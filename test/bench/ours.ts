import { labUp, type Lab } from "../lab/lab.js";
import { command, declared, type TestCluster } from "../support/cluster.js";

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
  const [shell, ...others] = lab.hosts;
  const agents = others.length > 0 || !shell ? others : [{ name: AGENT_ON_SHELL, address: shell.address }];
  // Small, so that a small machine has room for many sessions.
  return await declared(lab, { agents, cpus: 0.01, diskBytes: 64 * 1024 * 1024 });
}

/** How many resources an `up` changed, by its summary; throws when it has none. */
export function upChanges(stdout: string): number {
  const summary = /^Resources:\n((?: {4}.*\n)+)/m.exec(`${stdout}\n`)?.[1];
  if (summary === undefined) throw new Error(`pulumi's output has no summary:\n${stdout.slice(-2000)}`);
  const counts = [...summary.matchAll(/^ {4}\D*(\d+) ([a-z]+)/gm)];
  return counts.filter(([, , word]) => word !== "unchanged").reduce((sum, [, count]) => sum + Number(count), 0);
}
