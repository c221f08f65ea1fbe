import { hostname } from "node:os";
import type { Client } from "../session/client.js";
import { LIST_TIMEOUT_MS } from "../session/resolve.js";
import { heardSoon } from "./agents.js";

/** `convocate`: the TUI, until its user quits. */
export async function openTui(client: Client): Promise<void> {
  const terminal = await client.terminal();
  await using cluster = await client.open();
  const { runTui } = await import("../../../runtime/shell/tui/index.js");
  await runTui(cluster, { terminal, clusterName: hostname(), signal: client.signal });
}

/** `convocate --print-frame`: what the TUI would show now, once, as text. */
export async function printFrame(client: Client, size: { cols: number; rows: number }): Promise<void> {
  await using cluster = await client.open();
  const { drawFrame } = await import("../../../runtime/shell/tui/index.js");
  await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
  await heardSoon(cluster);
  const source = { clusterName: hostname(), sessions: cluster.sessions(), agents: cluster.agents() };
  client.out.drawn(drawFrame(source, { ...size, color: client.out.color }));
}
