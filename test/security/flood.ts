import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { readLines } from "../../runtime/protocol/ndjson.js";
import { RpcClient } from "../../runtime/protocol/rpc/client.js";
import { dial } from "../../runtime/protocol/ssh/client.js";
import type { DialOptions } from "../../runtime/protocol/ssh/types.js";

const PIECE = Buffer.alloc(256 * 1024, "x");

export interface Flooded {
  /** Answers on the channel that was flooded. */
  answers: { id?: number; ok: boolean; code?: string }[];
  /** How long another client's pings took meanwhile, in ms. */
  pings: number[];
  /** The most memory that the server's process had while it went on, in bytes. */
  mostBytes: number;
}

/**
 * Sends one line of so many bytes to an agent's rpc door, then a ping on the same channel, while another client pings over a
 * connection of its own every 50 ms. `memory` reads the server's, in bytes.
 */
export async function flood(door: DialOptions, bytes: number, memory: () => Promise<number>): Promise<Flooded> {
  const [bad, other] = await Promise.all([dial(door), dial(door)]);
  try {
    const stream = (await bad.openSubsystem("convocate-agent-rpc")).stream;
    const rpc = new RpcClient((await other.openSubsystem("convocate-agent-rpc")).stream);
    const answers: Flooded["answers"] = [];
    const answered = (async () => {
      for await (const read of readLines(stream)) if ("line" in read) answers.push(JSON.parse(read.line));
    })();
    const over = new AbortController();
    const pings: number[] = [];
    let mostBytes = 0;
    const watching = (async () => {
      while (!over.signal.aborted) {
        const began = performance.now();
        await rpc.call("ping", {}, { timeoutMs: 30_000 });
        pings.push(performance.now() - began);
        mostBytes = Math.max(mostBytes, await memory());
        await sleep(50, undefined, { signal: over.signal }).catch(() => undefined);
      }
    })();
    for (let sent = 0; sent < bytes; sent += PIECE.length) if (!stream.write(PIECE)) await once(stream, "drain");
    stream.end('\n{"id":2,"op":"ping"}\n');
    await answered;
    over.abort();
    await watching;
    return { answers, pings, mostBytes };
  } finally {
    bad.close();
    other.close();
  }
}

/** Resident memory out of a `/proc/<pid>/status`, in bytes. */
export function residentBytes(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

export const memoryOf = async (pid: number): Promise<number> =>
  residentBytes(readFileSync(`/proc/${pid}/status`, "utf8"));
