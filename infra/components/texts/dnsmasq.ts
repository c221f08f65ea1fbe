import { isIP } from "node:net";
import { SESSION_BRIDGE, shellPaths } from "../../../runtime/domain/index.js";

/**
 * The cluster's names, on the shell's address and loopback. `bind-dynamic`, so that it lives beside systemd-resolved,
 * which has 127.0.0.53, and takes an address that comes later. `address` is where the other hosts reach the shell; a
 * name is no listen address, and then it listens on all. `sessionsHere`: also to the sessions of this machine, on whose
 * network it has another address. Pure.
 */
export function dnsmasqConfig(address: string, sessionsHere: boolean): string {
  const addresses = [...new Set(["127.0.0.1", address])].map((ip) => `listen-address=${ip}\n`);
  const listen = isIP(address)
    ? [...addresses, ...(sessionsHere ? [`interface=${SESSION_BRIDGE}\n`] : [])].join("")
    : "";
  return `# Written by convocate: names of sessions.
bind-dynamic
${listen}addn-hosts=${shellPaths.dnsmasqHosts}
`;
}
