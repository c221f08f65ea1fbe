import { relative } from "node:path";
import { ConvocateError, hasLabels, labelledText, labelsText, type Labels } from "../../../runtime/domain/index.js";
import { createPool, type Connection } from "../../../infra/connection/index.js";
import { builtRelease } from "../../../infra/host/program.js";
import {
  heldAt,
  heldText,
  hostsOf,
  type Inventory,
  type InventoryAgent,
  type InventoryHost,
} from "../../../infra/inventory/index.js";
import { reach, type Unreachable } from "../../../infra/rollout/index.js";
import { errorLines, interruptSignal } from "../../output/run.js";

/** The hosts that a command names, by the inventory's names or addresses, in the inventory's order; BAD_USAGE for others. */
export function namedHosts(inventory: Inventory, asked: readonly string[]): InventoryHost[] {
  const hosts = hostsOf(inventory);
  const means = (host: InventoryHost, one: string): boolean =>
    host.name === one || (host.host.via === "ssh" ? host.host.address === one : one === "local");
  for (const one of asked)
    if (!hosts.some((host) => means(host, one)))
      throw new ConvocateError(
        "BAD_USAGE",
        `no host ${one} in the inventory: it has ${hosts.map(({ name }) => name).join(", ")}`,
      );
  return hosts.filter((host) => asked.some((one) => means(host, one)));
}

/** The hosts that `--host` names, or the agents with all the labels of `--label`; every host when neither is said. */
export function chosenHosts(
  inventory: Inventory,
  { host, label }: { host?: string | readonly string[] | undefined; label?: Labels | undefined },
): InventoryHost[] {
  if (host !== undefined && label !== undefined)
    throw new ConvocateError("BAD_USAGE", "say which hosts by --host, or which agents by --label, not both");
  if (host !== undefined) return namedHosts(inventory, typeof host === "string" ? [host] : host);
  if (label === undefined) return hostsOf(inventory);
  const names = new Set(inventory.agents.filter(({ labels }) => hasLabels(labels, label)).map(({ name }) => name));
  if (names.size > 0) return hostsOf(inventory).filter(({ name }) => names.has(name));
  throw new ConvocateError(
    "BAD_USAGE",
    `no agent in the inventory has ${labelsText(label)}: it has ${labelledText(inventory.agents) || "none"}`,
  );
}

/** Of the agents of these names, those that the inventory holds at another release than this checkout's. */
export function heldAmong(inventory: Inventory, names: ReadonlySet<string>): InventoryAgent[] {
  return inventory.agents.filter((agent) => names.has(agent.name) && heldAt(agent, builtRelease()) !== undefined);
}

/** A line for each of them: what a rollout leaves there as it is. */
export function sayHeld(inventory: Inventory, names: ReadonlySet<string>): void {
  for (const agent of heldAmong(inventory, names)) process.stderr.write(`${heldText(agent, builtRelease()) ?? ""}\n`);
}

/** Those that are named can be brought to no other release. The shell host itself is held by nothing. */
export function refuseHeld(inventory: Inventory, names: ReadonlySet<string>): void {
  const held = heldAmong(inventory, names).find(({ name }) => name !== inventory.shell.name);
  if (!held) return;
  throw new ConvocateError(
    "REFUSED",
    `${heldText(held, builtRelease()) ?? ""}: change or remove its release in ${relative(process.cwd(), inventory.path)}, ` +
      "or run this in a checkout of that release",
  );
}

/** Names of the hosts of the inventory that are none of these. */
export function others(inventory: Inventory, names: ReadonlySet<string>): string[] {
  return hostsOf(inventory)
    .map(({ name }) => name)
    .filter((name) => !names.has(name));
}

/** Says at once who cannot be reached, and that the command ends with the exit code for it. */
function sayUnreachable(unreachable: readonly Unreachable[]): void {
  for (const { error } of unreachable) {
    for (const line of errorLines("convocate-host", error, process.argv.includes("--verbose")))
      process.stderr.write(`${line}\n`);
    process.exitCode = error.exitCode;
  }
}

/** Logs in to the shell host alone, for what is asked and done there. @throws ConvocateError why it cannot be reached. */
export async function withShell<T>(inventory: Inventory, use: (shell: Connection) => Promise<T>): Promise<T> {
  await using pool = createPool();
  const { reachable, unreachable } = await reach(pool, [inventory.shell], interruptSignal);
  const [shell] = reachable;
  if (shell) return await use(shell.connection);
  throw unreachable[0]?.error ?? new ConvocateError("UNREACHABLE", `${inventory.shell.name} cannot be reached`);
}

/** An agent by name or address; BAD_USAGE with those that there are. */
export function agentNamed(inventory: Inventory, wanted: string): InventoryAgent {
  const agent = findAgent(inventory, wanted);
  if (agent) return agent;
  throw new ConvocateError(
    "BAD_USAGE",
    `no agent '${wanted}' in the inventory: it has ${inventory.agents.map(({ name }) => name).join(", ") || "none"}`,
  );
}

export function findAgent(inventory: Inventory, wanted: string): InventoryAgent | undefined {
  return inventory.agents.find(({ name, host }) => name === wanted || (host.via === "ssh" && host.address === wanted));
}

/** Logs in to all, says who cannot be reached, and gives the others to `use` while the connections are held. */
export async function withReached<T>(
  hosts: readonly InventoryHost[],
  use: (reached: { connections: ReadonlyMap<string, Connection>; unreachable: Unreachable[] }) => Promise<T>,
): Promise<T> {
  await using pool = createPool();
  const { reachable, unreachable } = await reach(pool, hosts, interruptSignal);
  sayUnreachable(unreachable);
  return await use({ connections: new Map(reachable.map(({ name, connection }) => [name, connection])), unreachable });
}
