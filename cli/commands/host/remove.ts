import { createInterface } from "node:readline/promises";
import { relative } from "node:path";
import { ConvocateError } from "../../../runtime/domain/index.js";
import type { Connection } from "../../../infra/connection/index.js";
import { purge, stopSessions } from "../../../infra/host/purge.js";
import {
  checkoutRoot,
  hostsOf,
  InventoryEdit,
  inventoryPath,
  readInventory,
  type Inventory,
  type InventoryAgent,
} from "../../../infra/inventory/index.js";
import { destroy, requireStack, resourceNames, rollout, type Unreachable } from "../../../infra/rollout/index.js";
import { interruptSignal } from "../../output/run.js";
import { findAgent, withReached } from "./hosts.js";
import { counted, roll } from "./roll.js";
import { sessionsOf } from "./sessions.js";

export interface RemoveOptions {
  stack: string;
  host?: string;
  all?: true;
  force?: true;
  purge?: true;
  yes?: true;
}

/** Takes an agent out of the cluster, or with `--all` everything that convocate installed; SPEC 8.1, 8.2. */
export async function remove(options: RemoveOptions): Promise<void> {
  if ((options.host === undefined) === (options.all === undefined))
    throw new ConvocateError("BAD_USAGE", "say what to remove: --host HOST, or --all for the whole cluster");
  const path = inventoryPath(checkoutRoot(), options.stack);
  const inventory = readInventory(path);
  await requireStack({ stack: options.stack, signal: interruptSignal });
  if (options.host === undefined) await removeAll(options, inventory);
  else await removeAgent(options, options.host, inventory, path);
}

async function removeAgent(options: RemoveOptions, wanted: string, inventory: Inventory, path: string): Promise<void> {
  const agent = findAgent(inventory, wanted);
  if (!agent && wanted === inventory.shell.name)
    throw new ConvocateError(
      "BAD_USAGE",
      `${wanted} is the shell host: a cluster has one. remove --all takes the whole cluster away`,
    );
  if (!agent) {
    await finishRemoval(options, wanted, inventory);
    return;
  }
  const concerned = hostsOf(inventory).filter(({ name }) => name === inventory.shell.name || name === agent.name);
  await withReached(concerned, async ({ connections, unreachable }) => {
    if (!connections.has(inventory.shell.name))
      throw new ConvocateError("UNREACHABLE", `${agent.name} cannot be unregistered without the shell host`);
    const gone = givenUp(options, unreachable);
    await letGo(options, agent.name, [agent], connections);
    const connection = connections.get(agent.name);
    const done = await takenOut(path, agent.name, async (without) => {
      const rolled = await rollAway(options, without, gone);
      if (options.purge && connection)
        await purge(connection, inventory.service, { account: !agent.onShellHost, signal: interruptSignal });
      return rolled;
    });
    const words = connection ? "removed" : "removed from the cluster; what is on it is forgotten, not taken away";
    process.stdout.write(`${agent.name}: ${words} (${done})\n`);
  });
}

/**
 * Takes the agent's entry out of the inventory for `use`, and puts it back when that fails: the same command must find the
 * host again.
 */
export async function takenOut<T>(path: string, name: string, use: (without: Inventory) => Promise<T>): Promise<T> {
  const say = (what: string): void =>
    void process.stderr.write(`${relative(process.cwd(), path)}: ${name} is ${what}\n`);
  const edit = InventoryEdit.open(path);
  edit.remove(name);
  if (edit.save()) say("taken out");
  try {
    return await use(readInventory(path));
  } catch (thrown) {
    say(edit.undo() ? "put back: it is not removed yet" : "not put back, for the file was changed since");
    throw thrown;
  }
}

/** One whose entry went before its resources did: by hand, or by a removal that was cut off. */
async function finishRemoval(options: RemoveOptions, wanted: string, inventory: Inventory): Promise<void> {
  const names = await resourceNames({ stack: options.stack });
  if (!names.some((name) => name.startsWith(`${wanted}/`)))
    throw new ConvocateError(
      "BAD_USAGE",
      `no agent '${wanted}' in the inventory: it has ${inventory.agents.map(({ name }) => name).join(", ") || "none"}`,
    );
  if (options.purge)
    throw new ConvocateError("BAD_USAGE", `${wanted} is not in the inventory any more: put it back to purge it`);
  const done = await rollAway(options, inventory, options.force ? [wanted] : []);
  process.stdout.write(`${wanted}: removed (${done})\n`);
}

/** The rollout that takes away what is no longer declared; other agents are left alone. */
async function rollAway(options: RemoveOptions, inventory: Inventory, gone: readonly string[]): Promise<string> {
  const leave = inventory.agents.map(({ name }) => name).filter((name) => name !== inventory.shell.name);
  const { stack } = options;
  return counted(await roll(rollout, { stack, inventory, leave, variables: forProvider(options, gone) }));
}

/** What the provider must know (infra/provider/serve.ts). */
function forProvider(options: RemoveOptions, gone: readonly string[]): Record<string, string> {
  return { CONVOCATE_GONE_HOSTS: gone.join(","), ...(options.purge && { CONVOCATE_PURGE: "true" }) };
}

async function removeAll(options: RemoveOptions, inventory: Inventory): Promise<void> {
  await withReached(hostsOf(inventory), async ({ connections, unreachable }) => {
    const gone = givenUp(options, unreachable);
    await letGo(options, inventory.cluster, inventory.agents, connections);
    const variables = forProvider(options, gone);
    const done = await roll(destroy, { stack: options.stack, inventory, leave: [], variables });
    if (options.purge)
      await Promise.all(
        [...connections.values()].map((connection) =>
          purge(connection, inventory.service, { account: true, signal: interruptSignal }),
        ),
      );
    process.stdout.write(`${inventory.cluster}: removed (${done.changes.length} taken away)\n`);
  });
}

/** Hosts that are forgotten because they do not answer; REFUSED with what to do unless that was asked for. */
function givenUp(options: RemoveOptions, unreachable: readonly Unreachable[]): string[] {
  const names = unreachable.map(({ name }) => name);
  if (names.length === 0) return [];
  if (options.force) {
    // Told, and what the operator asked for: no failure.
    process.exitCode = 0;
    return names;
  }
  throw new ConvocateError(
    "UNREACHABLE",
    `${names.join(", ")}: nothing was removed. If it will not come back, --force forgets what is on it`,
  );
}

/**
 * Refuses while there are sessions; with --force they are stopped, and their homes stay. Whatever else may be refused or
 * must be confirmed comes before the first is stopped.
 */
export async function letGo(
  options: RemoveOptions,
  what: string,
  agents: readonly InventoryAgent[],
  connections: ReadonlyMap<string, Connection>,
): Promise<void> {
  const held: { name: string; connection: Connection; names: string[] }[] = [];
  for (const { name } of agents) {
    const connection = connections.get(name);
    const sessions = connection ? await sessionsOf(connection, interruptSignal) : [];
    if (!connection || sessions.length === 0) continue;
    const names = sessions.map((session) => session.name);
    if (!options.force)
      throw new ConvocateError(
        "REFUSED",
        `${name} has ${names.length === 1 ? "a session" : `${names.length} sessions`} (${names.join(", ")}): ` +
          (options.all ? "delete" : `\`convocate-host drain --host ${name} --spread\` moves`) +
          ` ${names.length === 1 ? "it" : "them"} first, or say --force, which stops ${names.length === 1 ? "it" : "them"}`,
      );
    held.push({ name, connection, names });
  }
  if (options.purge) await confirmPurge(options, what);
  for (const { name, connection, names } of held) {
    process.stderr.write(`${name}: stopping ${names.join(", ")}\n`);
    await stopSessions(connection, interruptSignal);
  }
}

async function confirmPurge(options: RemoveOptions, name: string): Promise<void> {
  if (options.yes) return;
  const what = `--purge removes every session of ${name} with its home, the images and the service user`;
  if (!process.stdin.isTTY)
    throw new ConvocateError("REFUSED", `${what}, and nobody is here to confirm it: say --yes if that is meant`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${what}.\nType ${name} to go on: `, { signal: interruptSignal });
    if (answer.trim() === name) return;
  } finally {
    terminal.close();
  }
  throw new ConvocateError("REFUSED", "not confirmed; nothing was removed");
}
