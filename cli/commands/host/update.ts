import { ConvocateError, toConvocateError, type Labels } from "../../../runtime/domain/index.js";
import type { Connection } from "../../../infra/connection/index.js";
import {
  checkoutRoot,
  heldAt,
  hostsOf,
  inventoryPath,
  readInventory,
  type Inventory,
  type InventoryHost,
} from "../../../infra/inventory/index.js";
import { requireStack, rollout } from "../../../infra/rollout/index.js";
import { builtRelease } from "../../../infra/host/program.js";
import { interruptSignal } from "../../output/run.js";
import { chosenHosts, heldAmong, others, refuseHeld, sayHeld, withReached } from "./hosts.js";
import { counted, roll } from "./roll.js";

export interface UpdateOptions {
  stack: string;
  host?: string[];
  label?: Labels;
  all?: true;
  release?: string;
  parallel: number;
}

/**
 * Brings hosts to the checkout's release, one group after another, and stops at the first that fails. A host is done when
 * its agent answers with the new release and is heard by convocate-status: that is the last step of its rollout.
 */
export async function update(options: UpdateOptions): Promise<void> {
  if ([options.host, options.label, options.all].filter((said) => said !== undefined).length !== 1)
    throw new ConvocateError("BAD_USAGE", "say which hosts to update: --host HOST…, --label KEY=VALUE or --all");
  const release = builtRelease();
  if (options.release !== undefined && options.release.replace(/^v/, "") !== release)
    throw new ConvocateError(
      "BAD_USAGE",
      `this checkout is release ${release}: check out ${options.release}, then run the same again there`,
    );
  const inventory = readInventory(inventoryPath(checkoutRoot(), options.stack));
  const asked = chosenHosts(inventory, options);
  const names = new Set(asked.map(({ name }) => name));
  if (options.host !== undefined) refuseHeld(inventory, names);
  sayHeld(inventory, names);
  await requireStack({ stack: options.stack, signal: interruptSignal });
  // An agent on the shell host's machine goes with it, and the shell host goes first: a newer one knows older agents.
  await withReached(inOrder(inventory, asked), async ({ connections }) => {
    if (!connections.has(inventory.shell.name))
      throw new ConvocateError(
        "UNREACHABLE",
        `${inventory.shell.name}, the shell host, cannot be reached, and it must say that agents are well: nothing was updated`,
      );
    const hosts = asked.filter(({ name }) => connections.has(name));
    await warnOfOldImages(inventory, connections, release);
    const done: string[] = [];
    for (let at = 0; at < hosts.length; at += options.parallel) {
      const group = hosts.slice(at, at + options.parallel).map(({ name }) => name);
      const rest = hosts.slice(at + options.parallel).map(({ name }) => name);
      await updateGroup(options, inventory, group, { done, rest });
      done.push(...group);
    }
  });
}

/** The hosts to try: those asked for, and the shell host, which is asked how agents are. */
function inOrder(inventory: Inventory, asked: readonly InventoryHost[]): InventoryHost[] {
  const names = new Set(asked.map(({ name }) => name));
  return hostsOf(inventory).filter(({ name }) => names.has(name) || name === inventory.shell.name);
}

async function updateGroup(
  options: UpdateOptions,
  inventory: Inventory,
  group: readonly string[],
  { done, rest }: { done: readonly string[]; rest: readonly string[] },
): Promise<void> {
  process.stderr.write(`updating ${group.join(", ")}\n`);
  try {
    const leave = others(inventory, new Set(group));
    const result = await roll(rollout, { stack: options.stack, inventory, leave });
    const held = new Map(heldAmong(inventory, new Set(group)).map(({ name, release }) => [name, release]));
    const told = group.map((name) => (held.has(name) ? `${name} (held at ${held.get(name) ?? ""})` : name));
    process.stdout.write(`${told.join(", ")}: updated (${counted(result)})\n`);
  } catch (thrown) {
    const error = toConvocateError(thrown);
    if (error.code === "INTERRUPTED") throw error;
    const says = [
      error.message,
      ...(done.length > 0 ? [`updated before it: ${done.join(", ")}`] : []),
      ...(rest.length > 0 ? [`not touched: ${rest.join(", ")}`] : []),
      `mend ${group.join(", ")}, then run the same again: it goes on where it stopped`,
    ];
    throw new ConvocateError(error.code, says.join("\n"), { cause: error });
  }
}

/** Sessions keep the image that they run on until their next restart; that is no reason to refuse. */
async function warnOfOldImages(
  inventory: Inventory,
  connections: ReadonlyMap<string, Connection>,
  release: string,
): Promise<void> {
  const tag = `convocate:${inventory.image.version ?? release}`;
  const ours = inventory.agents.filter((agent) => heldAt(agent, release) === undefined);
  await Promise.all(
    ours.map(async ({ name }) => {
      const connection = connections.get(name);
      if (!connection) return;
      const argv = ["docker", "ps", "--filter", "name=^convocate-session-", "--format", "{{.Image}}"];
      const options = { allowFailure: true, signal: interruptSignal, timeoutMs: 20_000 };
      const { stdout, exitCode } = await connection.run(argv, options);
      const old = stdout.split("\n").filter((image) => image !== "" && image !== tag);
      if (exitCode !== 0 || old.length === 0) return;
      const images = [...new Set(old)].join(", ");
      const sessions = old.length === 1 ? "1 session runs" : `${old.length} sessions run`;
      process.stderr.write(`warning: ${name}: ${sessions} on ${images} until restarted; the others start on ${tag}\n`);
    }),
  );
}
