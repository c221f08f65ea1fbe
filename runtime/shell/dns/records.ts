import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { AgentId, DnsName, SessionId } from "../../domain/index.js";

/** A session's DNS name and where it leads. */
export interface DnsRecord {
  /** Addresses of the session's agent, IPv4 or IPv6; at least one. */
  addresses: readonly string[];
  name: string;
  agent: AgentId;
  session: SessionId;
}

const HEADER = "# Written by convocate-status: names of sessions. Changes here are lost.";

/**
 * The hosts file that dnsmasq reads: a line per address, and behind it whose it is. That makes the file our own memory,
 * too: after a restart, the records of an agent that cannot be reached are still known. Sorted, so that what is the same
 * is written the same. Pure.
 */
export function hostsFile(records: readonly DnsRecord[]): string {
  const sorted = [...records].sort((a, b) => compare(a.name, b.name) || compare(a.session, b.session));
  const lines = sorted.flatMap(({ addresses, name, agent, session }) =>
    addresses.map((address) => `${address} ${name} # ${agent} ${session}`),
  );
  return `${[HEADER, ...lines].join("\n")}\n`;
}

/** What such a file says; lines that somebody else wrote are left out. Pure. */
export function parseHostsFile(text: string): DnsRecord[] {
  const records = new Map<SessionId, DnsRecord & { addresses: string[] }>();
  for (const line of text.split("\n")) {
    const [address = "", name, hash, agent, session] = line.trim().split(/\s+/);
    const parsed = {
      name: DnsName.safeParse(name).data,
      agent: AgentId.safeParse(agent).data,
      session: SessionId.safeParse(session).data,
    };
    if (hash !== "#" || isIP(address) === 0 || !parsed.name || !parsed.agent || !parsed.session) continue;
    const known = records.get(parsed.session);
    if (known) known.addresses.push(address);
    else
      records.set(parsed.session, {
        addresses: [address],
        name: parsed.name,
        agent: parsed.agent,
        session: parsed.session,
      });
  }
  return [...records.values()];
}

/** The records of a hosts file; none when it cannot be read. */
export async function readRecords(path: string): Promise<DnsRecord[]> {
  return parseHostsFile(await readFile(path, "utf8").catch(() => ""));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
