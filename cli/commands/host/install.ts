import { createPool, type Connection } from "../../../infra/connection/index.js";
import { distUpgrade, reboot, rebootNeeded, securityUpgrades } from "../../../infra/host/upgrade.js";
import { checkoutRoot, hostsOf, InventoryEdit, inventoryPath, type Role } from "../../../infra/inventory/index.js";
import { baseOf, rollout } from "../../../infra/rollout/index.js";
import { interruptSignal } from "../../output/run.js";
import { enlist } from "./init.js";
import type { InitOptions } from "./options.js";
import { counted, roll } from "./roll.js";

export interface InstallOptions extends InitOptions {
  shell?: true;
  distUpgrade?: true;
  /** False with --no-upgrades. */
  upgrades: boolean;
}

/** Gets a host ready for its role without giving it one: what a rollout calls its base, and the distribution's upgrades. */
export async function install(options: InstallOptions): Promise<void> {
  const { inventory, name } = await enlist(roleOf(inventoryPath(checkoutRoot(), options.stack), options), options);
  const target = baseOf(inventory, name);
  const done = await roll(rollout, { stack: options.stack, makes: true, inventory, leave: [], target });
  const host = hostsOf(inventory).find((one) => one.name === name)?.host;
  if (host) {
    await using pool = createPool();
    await upgrade(await pool.connect(host, interruptSignal), options);
  }
  process.stdout.write(`${name}: installed (${counted(done)})\n`);
}

/** The role that the inventory gives the host; for one that is not in it an agent's, or the shell's with --shell. */
export function roleOf(path: string, options: Pick<InstallOptions, "shell" | "host">): Role {
  if (options.shell) return "shell";
  return InventoryEdit.open(path).find("shell", options.host ?? "local") ? "shell" : "agent";
}

async function upgrade(connection: Connection, options: InstallOptions): Promise<void> {
  const { name, via } = connection.host;
  const say = (message: string): void => void process.stderr.write(`${name}: ${message}\n`);
  const how = { signal: interruptSignal, progress: say };
  if (options.upgrades || options.distUpgrade) await securityUpgrades(connection, how);
  if (!options.distUpgrade) return;
  await distUpgrade(connection, how);
  if (!(await rebootNeeded(connection, interruptSignal))) return;
  if (via === "local") say("warning: this machine needs a reboot, which is yours to choose");
  else await reboot(connection, how);
}
