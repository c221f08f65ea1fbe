import type { AgentId } from "../../../domain/index.js";
import type { AgentView } from "../../cluster.js";

/** When each agent's connection came or went, newest last. */
export type Links = ReadonlyMap<AgentId, { up: boolean; changesMs: readonly number[] }>;
export const EMPTY_LINKS: Links = new Map();

/** So many losses and returns within that time are more than one restart makes (a loss and a return). */
const FLAPPING_CHANGES = 4;
const WINDOW_MS = 120_000;

/** What is remembered of the connections after this look at them; the same value when nothing changed. */
export function watchLinks(links: Links, agents: readonly AgentView[], nowMs: number): Links {
  let next: Map<AgentId, { up: boolean; changesMs: readonly number[] }> | null = null;
  for (const agent of agents) {
    const up = agent.connection.state === "connected";
    const known = links.get(agent.id);
    if (known?.up === up) continue;
    // An agent never seen before has not changed; its first connection is no flapping.
    const changesMs = known ? [...known.changesMs, nowMs].slice(-FLAPPING_CHANGES) : [];
    (next ??= new Map(links)).set(agent.id, { up, changesMs });
  }
  if (links.size > agents.length) {
    const listed = new Set(agents.map(({ id }) => id));
    next = new Map([...(next ?? links)].filter(([id]) => listed.has(id)));
  }
  return next ?? links;
}

export function isFlapping(links: Links, id: AgentId, nowMs: number): boolean {
  const changes = links.get(id)?.changesMs ?? [];
  const oldest = changes.at(-FLAPPING_CHANGES);
  return oldest !== undefined && nowMs - oldest < WINDOW_MS;
}
