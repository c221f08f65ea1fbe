import { homedir } from "node:os";
import { relative, resolve } from "node:path";
import { ConvocateError } from "../../../runtime/domain/index.js";
import { refuseClashes, type WantedPort } from "../../../infra/host/clashes.js";
import { createPool } from "../../../infra/connection/index.js";
import {
  checkoutRoot,
  hostsOf,
  InventoryEdit,
  inventoryPath,
  parseInventory,
  readInventory,
  type Inventory,
  type InventoryAgent,
  type InventoryShell,
  type RawEntry,
  type Role,
} from "../../../infra/inventory/index.js";
import { rollout } from "../../../infra/rollout/index.js";
import { interruptSignal } from "../../output/run.js";
import { entryFor } from "./entry.js";
import { firstContact } from "./hostKey.js";
import { others, withReached } from "./hosts.js";
import { hostKeyPolicy, type InitOptions, type RoleOptions } from "./options.js";
import { rotateKeys } from "./rotate.js";
import { counted, roll } from "./roll.js";

/** Puts a host into the inventory, pins its key at the first contact, and makes it match. Run again, it repairs drift. */
export async function init(role: Role, options: RoleOptions): Promise<void> {
  const { inventory, name } = await enlist(role, options);
  await rollOut(inventory, options.stack, role, name);
  if (options.rotateCa) await rotateAuthority(options.stack);
  if (options.rotateKeys) await rotateKeys(inventory, name, () => rollOut(inventory, options.stack, role, name));
}

/** Every agent's certificate is of the old authority, so all hosts take part, or none. */
async function rotateAuthority(stack: string): Promise<void> {
  const path = inventoryPath(checkoutRoot(), stack);
  await withReached(hostsOf(readInventory(path)), async ({ unreachable }) => {
    if (unreachable.length > 0)
      throw new ConvocateError(
        "UNREACHABLE",
        `${unreachable.map(({ name }) => name).join(", ")} would be shut out of log forwarding: the authority was not replaced`,
      );
    const edit = InventoryEdit.open(path);
    edit.nextAuthority();
    edit.save();
    const inventory = readInventory(path);
    const done = await roll(rollout, { stack, inventory, leave: [] });
    process.stdout.write(`${inventory.cluster}: a new authority, and every certificate anew (${counted(done)})\n`);
  });
}

/** A host's entry in the inventory, with its key pinned; the host was logged in to, and nothing clashes. */
export async function enlist(role: Role, options: RoleOptions): Promise<{ inventory: Inventory; name: string }> {
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
  await tryHost(inventory, changed);
  if (edit.save()) process.stderr.write(`${relative(process.cwd(), path)}: ${changed.name} is written\n`);
  return { inventory, name: changed.name };
}

async function newHostKey(entry: RawEntry, edit: InventoryEdit, options: InitOptions): Promise<string> {
  const at = { name: entry.name, address: entry.address, port: entry.port ?? edit.defaultPort() };
  return await firstContact(at, hostKeyPolicy(options), interruptSignal);
}

async function tryHost(inventory: Inventory, entry: RawEntry): Promise<void> {
  const agent = inventory.agents.find(({ name }) => entry.role === "agent" && name === entry.name);
  const host = agent?.host ?? inventory.shell.host;
  await using pool = createPool();
  const connection = await pool.connect(host, interruptSignal);
  await connection.run(["true"], { signal: interruptSignal, timeoutMs: 20_000 });
  const ports = agent ? agentPorts(agent) : shellPorts(inventory.shell);
  await refuseClashes(connection, ports, agent ? ["imjournal", "omrelp"] : ["imrelp"], interruptSignal);
}

/** Node calls its process's first thread MainThread, and so does ss. */
const NODE = ["MainThread", "node"];
const agentPorts = ({ agentPort }: InventoryAgent): WantedPort[] => [
  { port: agentPort, what: "convocate-agent", ours: NODE },
];
const shellPorts = ({ statusPort }: InventoryShell): WantedPort[] => [
  { port: statusPort, what: "convocate-status", ours: NODE },
  { port: 514, what: "the log server", ours: ["rsyslogd"] },
  { port: 53, what: "dnsmasq", ours: ["dnsmasq", "systemd-resolve"] },
];

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
