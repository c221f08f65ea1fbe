import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { shellPaths, type AgentId, type Capacity } from "../../../runtime/domain/index.js";
import type { Cluster } from "../../../runtime/shell/index.js";
import type { Client } from "../session/client.js";
import { LIST_TIMEOUT_MS } from "../session/resolve.js";
import { heardSoon } from "./agents.js";

/** `convocate`: the TUI, until its user quits. */
export async function openTui(client: Client): Promise<void> {
  const terminal = await client.terminal();
  await using cluster = await client.open("after-list");
  const { runTui } = await import("../../../runtime/shell/tui/index.js");
  await runTui(cluster, { terminal, clusterName: await clusterName(), signal: client.signal });
}

/** `convocate --print-frame`: what the TUI would show now, once, as text. */
export async function printFrame(client: Client, size: { cols: number; rows: number }): Promise<void> {
  await using cluster = await client.open();
  const { drawFrame } = await import("../../../runtime/shell/tui/index.js");
  await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
  await heardSoon(cluster);
  const source = {
    clusterName: await clusterName(),
    sessions: cluster.sessions(),
    agents: cluster.agents(),
    capacities: await capacitiesOf(cluster),
  };
  client.out.drawn(drawFrame(source, { ...size, color: client.out.color }));
}

/** What people call this cluster: the stack's name, which provisioning writes; on a host without one, the host's. */
async function clusterName(): Promise<string> {
  const name = await readFile(shellPaths.clusterName, "utf8").catch(() => "");
  return name.trim() || hostname();
}

/** Of every agent that answers and can say it. */
async function capacitiesOf(cluster: Cluster): Promise<Map<AgentId, Capacity>> {
  const capacities = new Map<AgentId, Capacity>();
  const ask = async (id: AgentId): Promise<void> => void capacities.set(id, await cluster.capacity(id));
  const answering = cluster.agents().filter(({ connection }) => connection.state === "connected");
  await Promise.allSettled(answering.map(({ id }) => ask(id)));
  return capacities;
}
