import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rpcTo } from "../support/door.js";
import type { Target } from "./attaches.js";
import { must } from "./exec.js";
import { percentile, type Figure } from "./figures.js";

/** A connection that is warm, and code that is: V8 compiles what it has seen some thousand times. */
const WARM_UP = 5000;
const TURNS = 10;

/** A `ping` over a connection that stands, beside an `ssh` that runs `true` over one that stands. */
export async function measureRpc(
  target: Target,
  { pings, execs }: { pings: number; execs: number },
): Promise<Figure[]> {
  await using agent = await rpcTo(target.door);
  const folder = await mkdtemp(join(tmpdir(), "convocate-bench-"));
  const master = [
    "-o",
    "ControlMaster=auto",
    "-o",
    `ControlPath=${join(folder, "control")}`,
    "-o",
    "ControlPersist=60",
  ];
  const peer = ["ssh", ...master, ...target.ssh];
  const times: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
  const ping = async (): Promise<number> => {
    const startedMs = performance.now();
    await agent.rpc.call("ping", {});
    return performance.now() - startedMs;
  };
  try {
    await must([...peer, "true"], { timeoutMs: 30_000 });
    for (let i = 0; i < WARM_UP; i++) await ping();
    for (let turn = 0; turn < TURNS; turn++) {
      for (let i = 0; i < pings / TURNS; i++) times.ours.push(await ping());
      for (let i = 0; i < execs / TURNS; i++)
        times.peer.push((await must([...peer, "true"], { timeoutMs: 30_000 })).ms);
    }
  } finally {
    await must(["ssh", "-O", "exit", ...master, ...target.ssh], { timeoutMs: 30_000 }).catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  }
  return [
    {
      what: "RPC on a warm connection, p50",
      ours: percentile(times.ours, 50),
      beside: { name: "ssh exec over ControlMaster", value: percentile(times.peer, 50) },
      target: { kind: "value", atMost: 0.2 },
      samples: times.ours.length,
    },
  ];
}
