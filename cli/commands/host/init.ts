import { homedir } from "node:os";
import { relative, resolve } from "node:path";
import { ConvocateError } from "../../../runtime/domain/index.js";
import { createPool } from "../../../infra/connection/index.js";
import {
  checkoutRoot,
  InventoryEdit,
  inventoryPath,
  parseInventory,
  type Inventory,
  type RawEntry,
  type Role,
} from "../../../infra/inventory/index.js";
import { rollout } from "../../../infra/rollout/index.js";
import { interruptSignal } from "../../output/run.js";
import { entryFor } from "./entry.js";
import { firstContact } from "./hostKey.js";
import { others } from "./hosts.js";
import { hostKeyPolicy, type InitOptions } from "./options.js";
import { counted, roll } from "./roll.js";

/** Puts a host into the inventory, pins its key at the first contact, and makes it match. Run again, it repairs drift. */
export async function init(role: Role, options: InitOptions & { shellHost?: true }): Promise<void> {
  const path = inventoryPath(checkoutRoot(), options.stack);
  const edit = InventoryEdit.open(path, role === "shell" ? `cluster: ${options.stack.toLowerCase()}\n` : undefined);
  const entry = entryFor(edit, role, options);
  const changed: RawEntry = {
    ...entry,
    ...(options.user !== undefined && { user: options.user }),
    ...(options.port !== undefined && { port: options.port }),
  };
  const identityFile = options.identity === undefined ? undefined : portablePath(resolve(options.identity));
  edit.put(role, { ...withoutRole(changed), identityFile });
  // A bad inventory is told before any host is touched.
  parseInventory(edit.toString(), path, { unpinned: true });
  if (options.hostKey !== undefined || !edit.isPinned(changed))
    edit.put(role, { name: changed.name, address: changed.address, hostKey: await newHostKey(changed, edit, options) });

  // Tried before it is kept: a mistyped option leaves the inventory as it was.
  const inventory = parseInventory(edit.toString(), path);
  await tryLogin(inventory, changed);
  if (edit.save()) process.stderr.write(`${relative(process.cwd(), path)}: ${changed.name} is written\n`);
  await rollOut(inventory, options.stack, role, changed.name);
}

async function newHostKey(entry: RawEntry, edit: InventoryEdit, options: InitOptions): Promise<string> {
  const at = { name: entry.name, address: entry.address, port: entry.port ?? edit.defaultPort() };
  return await firstContact(at, hostKeyPolicy(options), interruptSignal);
}

async function tryLogin(inventory: Inventory, entry: RawEntry): Promise<void> {
  const hosts = entry.role === "shell" ? [inventory.shell] : inventory.agents;
  const host = hosts.find(({ name }) => name === entry.name)?.host;
  if (!host) throw new ConvocateError("INTERNAL", `${entry.name} was put into the inventory and is not there`);
  await using pool = createPool();
  const connection = await pool.connect(host, interruptSignal);
  await connection.run(["true"], { signal: interruptSignal, timeoutMs: 20_000 });
}

/** The same program as `pulumi up`, less what belongs to agents that were not meant. */
async function rollOut(inventory: Inventory, stack: string, role: Role, name: string): Promise<void> {
  const meant = new Set([inventory.shell.name, ...(role === "agent" ? [name] : [])]);
  const done = await roll(rollout, { stack, inventory, leave: others(inventory, meant) });
  process.stdout.write(`${name}: ready (${counted(done)})\n`);
}

function withoutRole({ name, address, user, port, hostKey }: RawEntry): Parameters<InventoryEdit["put"]>[1] {
  return { name, address, user, port, hostKey };
}

/** With `~` where it is in the operator's home, so that the inventory can be shared. */
function portablePath(path: string): string {
  const home = `${homedir()}/`;
  return path.startsWith(home) ? `~/${path.slice(home.length)}` : path;
}
