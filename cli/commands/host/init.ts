import { homedir } from "node:os";
import { relative, resolve } from "node:path";
import { ConvocateError } from "../../../runtime/domain/index.js";
import { refuseClashes, type WantedPort } from "../../../infra/host/clashes.js";
import { readFacts } from "../../../infra/host/facts.js";
import { createPool } from "../../../infra/connection/index.js";
import {
  checkoutRoot,
  InventoryEdit,
  inventoryPath,
  parseInventory,
  type Inventory,
  type InventoryAgent,
  type InventoryShell,
  type RawEntry,
  type Role,
} from "../../../infra/inventory/index.js";
import { rollout } from "../../../infra/rollout/index.js";
import { interruptSignal } from "../../output/run.js";
import { bringAuthority, isNewAuthority, readAuthority, rotateAuthority, type Authority } from "./authority.js";
import { entryFor } from "./entry.js";
import { firstContact } from "./host-key.js";
import { others, sayHeld } from "./hosts.js";
import { hostKeyPolicy, type RoleOptions } from "./options.js";
import { rotateKeys } from "./rotate.js";
import { counted, roll } from "./roll.js";

/** Puts a host into the inventory, pins its key at the first contact, and makes it match. Run again, it repairs drift. */
export async function init(role: Role, options: RoleOptions): Promise<void> {
  const authority = await givenAuthority(options);
  const { inventory, name } = await enlist(role, options);
  if (authority && isNewAuthority(options.stack, authority)) await bringAuthority(options.stack, authority);
  await rollOut(inventory, options.stack, role, name);
  if (options.rotateCa) await rotateAuthority(options.stack);
  if (options.rotateKeys) await rotateKeys(inventory, name, () => rollOut(inventory, options.stack, role, name));
}

async function givenAuthority({ caCert, caKey, rotateCa }: RoleOptions): Promise<Authority | undefined> {
  if (caCert === undefined && caKey === undefined) return undefined;
  if (caCert === undefined || caKey === undefined)
    throw new ConvocateError("BAD_USAGE", "an authority from elsewhere is two files: --ca-cert FILE and --ca-key FILE");
  if (rotateCa)
    throw new ConvocateError("BAD_USAGE", "--rotate-ca makes a new authority, --ca-cert brings one: say one of them");
  return await readAuthority(caCert, caKey);
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
  if (options.shellHost) edit.putShellAsAgent(entry.name);
  const identityFile = options.identity === undefined ? undefined : portablePath(resolve(options.identity));
  edit.put(role, { ...withoutRole(changed), identityFile });
  // A bad inventory is told before any host is touched.
  const { host } = hostIn(parseInventory(edit.toString(), path, { unpinned: true }), changed);
  if (host.via === "ssh" && (options.hostKey !== undefined || host.hostKeys.length === 0)) {
    const hostKey = await firstContact(host, hostKeyPolicy(options), interruptSignal);
    edit.put(role, { name: changed.name, address: changed.address, hostKey });
  }

  // Tried before it is kept: a mistyped option leaves the inventory as it was.
  const inventory = parseInventory(edit.toString(), path);
  await tryHost(inventory, changed);
  if (edit.save()) process.stderr.write(`${relative(process.cwd(), path)}: ${changed.name} is written\n`);
  return { inventory, name: changed.name };
}

function hostIn(inventory: Inventory, entry: RawEntry): InventoryAgent | InventoryShell {
  return inventory.agents.find(({ name }) => entry.role === "agent" && name === entry.name) ?? inventory.shell;
}

async function tryHost(inventory: Inventory, entry: RawEntry): Promise<void> {
  const machine = hostIn(inventory, entry);
  await using pool = createPool();
  const connection = await pool.connect(machine.host, interruptSignal);
  await connection.run(["true"], { signal: interruptSignal, timeoutMs: 20_000 });
  // What is no Debian or Ubuntu is told before anything is changed.
  await readFacts(connection, interruptSignal);
  const [ports, modules] =
    "agentPort" in machine ? [agentPorts(machine), ["imjournal", "omrelp"]] : [shellPorts(machine), ["imrelp"]];
  await refuseClashes(connection, ports, modules, interruptSignal);
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
  sayHeld(inventory, new Set([name]));
  const meant = new Set([inventory.shell.name, ...(role === "agent" ? [name] : [])]);
  const done = await roll(rollout, { stack, makes: true, inventory, leave: others(inventory, meant) });
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
