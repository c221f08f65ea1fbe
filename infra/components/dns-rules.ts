import { BlockList, isIP } from "node:net";
import type { Inventory } from "../inventory/index.js";

/** Who has an address of these is in somebody's own network (RFC 1918, RFC 6598; RFC 4193 and RFC 4291). */
const PRIVATE = {
  4: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"],
  6: ["fc00::/7", "fe80::/10"],
} as const;

const near = new BlockList();
for (const network of [...PRIVATE[4], ...PRIVATE[6]]) {
  const [address = "", bits] = network.split("/");
  near.addSubnet(address, Number(bits), familyOf(address));
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 6 ? "ipv6" : "ipv4";
}

/**
 * Whom the shell's dnsmasq answers: private networks, and agents wherever they are. It asks others for names that are not its
 * own, and open to the world that would serve attacks on third parties. Where an agent has a name for an address nobody
 * can say from where it asks, and the port is open. Pure.
 */
export function dnsRules({ shell, agents }: Pick<Inventory, "shell" | "agents">): string[] {
  const addresses = agents.filter((agent) => !agent.onShellHost).map(({ clusterAddress }) => clusterAddress);
  if (addresses.some((address) => isIP(address) === 0)) return ["53"];
  // ufw refuses IPv6 where that is off, so it is asked for only where the shell, or an agent, has nothing else.
  const own = isIP(shell.clusterAddress) === 6 ? PRIVATE[6] : PRIVATE[4];
  const outside = addresses.filter((address) => !near.check(address, familyOf(address)));
  return [...own, ...new Set(outside)].map((from) => `53 from ${from}`);
}
