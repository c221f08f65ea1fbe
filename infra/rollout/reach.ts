import { ConvocateError, toConvocateError } from "../../runtime/domain/index.js";
import type { Connection, ConnectionPool } from "../connection/index.js";
import type { InventoryHost } from "../inventory/index.js";

/** A host that cannot be worked on now, and why. */
export interface Unreachable {
  name: string;
  error: ConvocateError;
}

interface Connected {
  name: string;
  connection: Connection;
}

export interface Reached {
  reachable: Connected[];
  unreachable: Unreachable[];
}

/** Names a silent host within 10 s (issue 5), with what comes before it. */
const REACH_TIMEOUT_MS = 7_000;

const place = (name: string, host: InventoryHost["host"]): string =>
  host.via === "ssh" ? `${name} (${host.address}:${host.port})` : name;

/** Logs in to all at once, as root: the pinned key, the login and sudo are tried before anything is begun. */
export async function reach(
  pool: ConnectionPool,
  hosts: readonly InventoryHost[],
  signal?: AbortSignal,
  timeoutMs = REACH_TIMEOUT_MS,
): Promise<Reached> {
  const results = await Promise.all(
    hosts.map(async ({ name, host }): Promise<Connected | Unreachable> => {
      const late = new AbortController();
      const timer = setTimeout(
        () =>
          late.abort(
            new ConvocateError("TIMEOUT", `${place(name, host)}: no answer within ${timeoutMs / 1000} s: is it up?`),
          ),
        timeoutMs,
      );
      const either = signal ? AbortSignal.any([late.signal, signal]) : late.signal;
      try {
        const connection = await pool.connect(host, either);
        await connection.run(["true"], { signal: either });
        return { name, connection };
      } catch (thrown) {
        if (signal?.aborted) throw thrown;
        return { name, error: toConvocateError(thrown) };
      } finally {
        clearTimeout(timer);
      }
    }),
  );
  return {
    reachable: results.flatMap((result) => ("connection" in result ? [result] : [])),
    unreachable: results.flatMap((result) => ("error" in result ? [result] : [])),
  };
}
