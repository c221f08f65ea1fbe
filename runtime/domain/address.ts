import { isIPv6 } from "node:net";

export interface Address {
  host: string;
  port: number;
}

/** `host`, `host:port`, `[v6]:port` or a bare IPv6 address, as in SPEC 4's `host[:port]`. Null for anything else. */
export function parseAddress(text: string, defaultPort: number): Address | null {
  const trimmed = text.trim();
  // Most are none, and the expression behind isIPv6 takes 7 ms to compile.
  if (trimmed.split(":").length > 2 && isIPv6(trimmed)) return { host: trimmed, port: defaultPort };
  const match = /^(?:\[([0-9A-Za-z.:%_-]+)\]|([0-9A-Za-z._-]+))(?::(\d{1,5}))?$/.exec(trimmed);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? defaultPort);
  return host && port >= 1 && port <= 65535 ? { host, port } : null;
}

/** `host:port`, an IPv6 host in brackets. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
