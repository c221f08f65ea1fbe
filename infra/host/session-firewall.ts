import { SESSION_BRIDGE } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { runScript, withSignal } from "./script.js";

export const RULES_FILE = "/etc/convocate-agent/sessions.nft";
export const RULES_UNIT = "convocate-firewall.service";
const TABLE = "inet convocate";

/** `192.168.1.0/24`, `192.168.1.20:5432`, `10.0.0.0/8:8000-8999/tcp`: a range, all of it or some ports (both protocols by default). */
export const EGRESS = /^(\d{1,3}(?:\.\d{1,3}){3})(?:\/(\d{1,2}))?(?::(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp))?)?$/;

export interface SessionRules {
  /** As EGRESS. */
  egress: readonly string[];
  /** Name servers that sessions may ask, wherever they are. */
  nameServers: readonly string[];
  /** Whether this host itself answers for names. */
  dnsHere: boolean;
  /** Our own doors on this host. */
  doors: readonly number[];
  /** Our doors on the cluster's other hosts, as `10.0.0.2:222`. */
  otherDoors: readonly string[];
}

/**
 * Addresses that are nobody's on the internet (RFC 6890), the clouds' metadata among them: 169.254.169.254, 192.0.0.192
 * (Oracle), 100.100.100.200 (Alibaba); and 168.63.129.16, which is a public address and Azure's own (learn.microsoft.com,
 * "What is IP address 168.63.129.16?").
 */
const PRIVATE = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "168.63.129.16",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "224.0.0.0/3",
];

/**
 * What sessions may reach, as a table of our own for nft: Docker's rules, ufw's and anybody's else are other tables, and none
 * of them ever sees a packet that is rejected here, whatever it would say. One transaction replaces the whole. Into the
 * sessions' network come answers, and what was sent to a published port; Docker alone would also let a neighbour in who
 * routes to a container's address by this host. A rule for each address and port rather than a set of them: nft lists those in
 * no certain order, and what the kernel has is compared as text. Pure.
 */
export function sessionRules(rules: SessionRules): string {
  const { egress, nameServers, dnsHere, doors, otherDoors } = rules;
  const allowed = egress.map(allow);
  const ask = nameServers.map((address) => `ip daddr ${address} meta l4proto { tcp, udp } th dport 53 accept`);
  const reject = "goto refuse";
  return `# Written by convocate: what sessions may reach, whatever Docker's and ufw's rules say.
table ${TABLE}
delete table ${TABLE}
table ${TABLE} {
${chain("forward", [
  "type filter hook forward priority filter - 10; policy accept;",
  `iifname "${SESSION_BRIDGE}" goto from_sessions`,
  `oifname "${SESSION_BRIDGE}" goto to_sessions`,
])}
${chain("input", [
  "type filter hook input priority filter - 10; policy accept;",
  `iifname "${SESSION_BRIDGE}" goto to_host`,
])}
${chain("from_sessions", [
  "ct state established,related accept",
  ...ask,
  ...otherDoors.map((door) => `ip daddr ${door.replace(":", " tcp dport ")} ${reject}`),
  ...allowed,
  `ip daddr { ${PRIVATE.join(", ")} } ${reject}`,
  // The network has IPv4 only; whoever gives it more has to think about this, too.
  `meta nfproto ipv6 ${reject}`,
])}
${chain("to_host", [
  "ct state established,related accept",
  ...(dnsHere ? ["meta l4proto { tcp, udp } th dport 53 accept"] : []),
  ...doors.map((port) => `tcp dport ${port} ${reject}`),
  ...allowed,
  reject,
])}
${chain("refuse", [
  // A reset is never held back by the kernel's limit of ICMP errors a second, so that a connection fails at once.
  "meta l4proto tcp reject with tcp reset",
  "reject with icmpx type admin-prohibited",
])}
${chain("to_sessions", ["ct state established,related accept", "ct status dnat accept", "drop"])}
}
`;
}

function allow(entry: string): string {
  const [, address = "", length, from, to, protocol] = EGRESS.exec(entry) ?? [];
  const range = `ip daddr ${address}${length === undefined ? "" : `/${length}`}`;
  if (from === undefined) return `${range} accept`;
  const ports = to === undefined ? from : `${from}-${to}`;
  return protocol === undefined
    ? `${range} meta l4proto { tcp, udp } th dport ${ports} accept`
    : `${range} ${protocol} dport ${ports} accept`;
}

const chain = (name: string, lines: readonly string[]): string =>
  [`\tchain ${name} {`, ...lines.map((line) => `\t\t${line}`), "\t}"].join("\n");

/**
 * Loads the rules before anything that a session could run in. nftables' own service empties everything when it starts, so
 * this one comes after it, and again whenever it does. Stopping it leaves the rules: only taking convocate away drops them.
 * Pure.
 */
export const rulesUnit = `# Written by convocate.
[Unit]
Description=convocate: what sessions may reach
After=nftables.service ufw.service
PartOf=nftables.service
Before=docker.service convocate-agent.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=nft -f ${RULES_FILE}

[Install]
WantedBy=multi-user.target
`;

export interface SessionRulesFound {
  /** IPv4 name servers of this host. */
  resolvers: string[];
  /** SHA-256 of the rules in the file. */
  file: string;
  /** SHA-256 of the rules in the kernel, as nft lists them. */
  loaded: string;
}

/** A container has a loopback of its own, so that name servers on this host's are none to it. */
const READ = `
for file in /run/systemd/resolve/resolv.conf /etc/resolv.conf; do
  if [ -r "$file" ]; then sed -n 's/^nameserver[[:space:]]*\\([0-9.]*\\)[[:space:]]*$/\\1/p' "$file"; break; fi
done | grep -v '^127\\.' || :
echo ===
sha256sum <${RULES_FILE} 2>/dev/null || :
echo ===
nft --stateless list table ${TABLE} 2>/dev/null | sha256sum || :`;

/** Parses READ. Pure. */
export function parseSessionRules(stdout: string): SessionRulesFound {
  const [resolvers = "", file = "", loaded = ""] = stdout.split(/^===$/m);
  return {
    resolvers: resolvers.split("\n").filter((line) => /^\d+(\.\d+){3}$/.test(line)),
    file: file.trim().split(" ")[0] ?? "",
    loaded: loaded.trim().split(" ")[0] ?? "",
  };
}

export async function readSessionRules(connection: Connection, signal?: AbortSignal): Promise<SessionRulesFound> {
  const { stdout } = await runScript(connection, READ, [], withSignal(signal));
  return parseSessionRules(stdout);
}

export const dropRulesArgv = (): string[] => ["nft", "delete", "table", ...TABLE.split(" ")];
