import type { Connection } from "../connection/types.js";
import { runScript, withSignal } from "./script.js";

/** `22/tcp`, `53` for both protocols; to anybody, or `53 from 10.0.0.0/8`, an address or a network. */
export const RULE = /^\d{1,5}(\/(tcp|udp))?( from [0-9a-f.:]+(\/\d{1,3})?)?$/;

/** A rule in ufw's words (ufw(8), simple and extended syntax). */
function allowing(rule: string): string[] {
  const [open = "", from] = rule.split(" from ");
  if (from === undefined) return ["allow", open];
  const [port = "", protocol] = open.split("/");
  return ["allow", "from", from, "to", "any", "port", port, ...(protocol === undefined ? [] : ["proto", protocol])];
}

export const allowArgv = (rule: string): string[] => ["ufw", ...allowing(rule), "comment", "convocate"];
export const deleteArgv = (rule: string): string[] => ["ufw", "--force", "delete", ...allowing(rule)];
export const disableArgv = (): string[] => ["ufw", "--force", "disable"];
const enableArgv = (): string[] => ["ufw", "--force", "enable"];

export interface FirewallFound {
  /** ufw says so, and the kernel has its chains. */
  active: boolean;
  /** What is open, to anybody or to some, as RULE. */
  allowed: string[];
  /** Ports that sshd listens on; they must be open before the firewall goes up. */
  sshPorts: number[];
}

/**
 * ufw's own command takes 50 ms of Python; its rules lie in a file, a line `### tuple ### allow tcp 222 0.0.0.0/0 any
 * 0.0.0.0/0 in` each (ufw 0.36, src/backend_iptables.py), and the chain tells whether they are loaded.
 */
const READ = `
if grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf && iptables -S ufw-user-input >/dev/null 2>&1; then echo active; else echo inactive; fi
echo ---
grep -hs '^### tuple ### ' /etc/ufw/user.rules /etc/ufw/user6.rules || :
echo ---
if [ "$1" = sshd ]; then sshd -T 2>/dev/null | sed -n 's/^port //p'; fi`;

/** Parses READ. Pure. */
export function parseFirewall(stdout: string): FirewallFound {
  const [state = "", tuples = "", ports = ""] = stdout.split(/^---$/m);
  const allowed: string[] = [];
  for (const line of tuples.split("\n")) {
    const [action, protocol, port, to, fromPort, from, direction] = line.replace("### tuple ### ", "").split(" ");
    if (action !== "allow" || !port || fromPort !== "any" || direction !== "in") continue;
    const open = protocol === "any" ? port : `${port}/${protocol}`;
    // What is open to anybody has a line in each file; of the two, IPv4's tells.
    if (to === "0.0.0.0/0") allowed.push(from === to ? open : `${open} from ${from}`);
    if (to === "::/0" && from !== to) allowed.push(`${open} from ${from}`);
  }
  return {
    active: state.trim() === "active",
    allowed,
    sshPorts: ports
      .split("\n")
      .map(Number)
      .filter((port) => port > 0),
  };
}

/** `sshd` asks that server for its ports, too. */
export async function readFirewall(
  connection: Connection,
  ask: "rules" | "sshd",
  signal?: AbortSignal,
): Promise<FirewallFound> {
  const { stdout } = await runScript(connection, READ, [ask], withSignal(signal));
  return parseFirewall(stdout);
}

/**
 * Opens the wanted ports, then turns the firewall on: first of all the ports sshd listens on, whatever the inventory says,
 * so that nobody is locked out. Rules of others stay. One after another: ufw has one lock. Tells how it was.
 */
export async function openPorts(
  connection: Connection,
  rules: readonly string[],
  signal?: AbortSignal,
): Promise<FirewallFound> {
  const found = await readFirewall(connection, "sshd", signal);
  const ssh = (found.sshPorts.length > 0 ? found.sshPorts : [22]).map((port) => `${port}/tcp`);
  const missing = [...new Set([...ssh, ...rules])].filter((rule) => !found.allowed.includes(rule));
  // Python and some fifty calls of iptables: a minute was not enough on a machine with thirty times its load.
  const options = { timeoutMs: 300_000, ...withSignal(signal) };
  for (const rule of missing) await connection.run(allowArgv(rule), options);
  if (!found.active) await connection.run(enableArgv(), options);
  return found;
}
