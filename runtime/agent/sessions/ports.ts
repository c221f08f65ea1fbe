import { ConvocateError } from "../../domain/index.js";

export interface PortUse {
  id: string;
  name: string;
  port: number;
  protocol: "tcp" | "udp";
}

/** Where -1 begins to look (SPEC 6.1). */
const FIRST_FREE_PORT = 1001;

/** Throws PORT_TAKEN for a port that is one of the host's own; of 0 and -1 there is nothing to say. Pure. */
export function refuseReserved(port: number, reserved: readonly number[]): void {
  if (!reserved.includes(port)) return;
  throw new ConvocateError(
    "PORT_TAKEN",
    `port ${port} is one of this host's own (${reserved.join(", ")}): choose another, or -1 for the first free one`,
  );
}

/**
 * The port a new session gets: 0 stays 0 (none), -1 becomes the first free one from 1001 up that is not reserved, any other must be free.
 * Throws PORT_TAKEN. Pure and synchronous, so that check and reservation are one step for the caller.
 */
export function choosePort(
  wanted: number,
  protocol: "tcp" | "udp",
  used: readonly PortUse[],
  reserved: readonly number[],
): number {
  if (wanted === 0) return 0;
  const taken = new Map(used.filter((use) => use.protocol === protocol).map((use) => [use.port, use]));
  if (wanted > 0) {
    const by = taken.get(wanted);
    if (!by) return wanted;
    throw new ConvocateError(
      "PORT_TAKEN",
      `port ${wanted}/${protocol} belongs to session ${by.name} (${by.id}): choose another, or -1 for the first free one`,
    );
  }
  for (let port = FIRST_FREE_PORT; port <= 65535; port += 1)
    if (!taken.has(port) && !reserved.includes(port)) return port;
  throw new ConvocateError("PORT_TAKEN", `every ${protocol} port from ${FIRST_FREE_PORT} up is taken on this agent`);
}
