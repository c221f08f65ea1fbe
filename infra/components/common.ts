import type { Inventory } from "../inventory/index.js";

/** What is the same on every host of a cluster. */
export interface Common {
  cluster: string;
  service: Inventory["service"];
  /** Release of the programs in dist/. */
  release: string;
  nodeVersion: string;
  /** By program, its files in dist/programs with their SHA-256. */
  programs: Record<"convocate" | "convocate-agent", Record<string, string>>;
}

/** `host` or `host:port`, an IPv6 host in brackets; the usual port is left out. */
export function hostAndPort(host: string, port: number, usual: number): string {
  const bracketed = host.includes(":") ? `[${host}]` : host;
  return port === usual ? bracketed : `${bracketed}:${port}`;
}
