import type { AgentId, Capacity, SessionId } from "../../../domain/index.js";
import type { AgentView, SessionView } from "../../cluster.js";
import { clean } from "../text.js";
import { EMPTY_LINKS, isFlapping, type Links } from "./links.js";

/** What the cluster says at one moment. Made once per change, read by every frame. */
export interface Snapshot {
  sessions: ReadonlyMap<SessionId, SessionView>;
  agents: readonly AgentRow[];
  /** Sessions that wait for their user. */
  waiting: number;
}

export interface AgentRow {
  view: AgentView;
  /**
   * `up`: answers us, and its events arrive (or nobody listens for events here). `silent`: answers us, but
   * convocate-status hears nothing from it. `deaf`: its events arrive, and say that nothing from this host reaches it.
   * `connecting`: does not answer us now. `flapping`: it comes and goes.
   */
  state: "up" | "silent" | "deaf" | "connecting" | "flapping";
  /** Whether it answers at this moment, whatever it did before. */
  reachable: boolean;
  sessions: number;
  running: number;
  /** Null until it was asked, and while it cannot answer. */
  capacity: Capacity | null;
}

export type Capacities = ReadonlyMap<AgentId, Capacity>;

export const EMPTY_SNAPSHOT: Snapshot = makeSnapshot([], [], { links: EMPTY_LINKS, capacities: new Map(), nowMs: 0 });

/** Everything that others may have written is made safe to print here, once, so that no list can forget it. */
export function makeSnapshot(
  sessions: readonly SessionView[],
  agents: readonly AgentView[],
  known: { links: Links; capacities: Capacities; nowMs: number },
): Snapshot {
  const byId = new Map<SessionId, SessionView>();
  let waiting = 0;
  const counts = new Map<AgentId, { sessions: number; running: number }>();
  for (const raw of sessions) {
    const view = cleanView(raw);
    const { session } = view;
    byId.set(session.id, view);
    const count = counts.get(session.agent_id) ?? { sessions: 0, running: 0 };
    count.sessions += 1;
    if (view.reachable && session.status.state === "running" && session.status.activity?.kind === "waiting")
      waiting += 1;
    if (session.status.state === "running") count.running += 1;
    counts.set(session.agent_id, count);
  }
  return {
    sessions: byId,
    waiting,
    agents: agents
      .map(cleaned)
      .sort((a, b) => byNumbers.compare(a.name, b.name) || compare(a.id, b.id))
      .map((view): AgentRow => {
        const reachable = view.connection.state === "connected";
        return {
          view,
          reachable,
          state: isFlapping(known.links, view.id, known.nowMs) ? "flapping" : agentState(view),
          sessions: counts.get(view.id)?.sessions ?? 0,
          running: counts.get(view.id)?.running ?? 0,
          capacity: reachable ? (known.capacities.get(view.id) ?? null) : null,
        };
      }),
  };
}

/** A session as it was when nothing about it changed; most are clean, and are not copied. */
const cleanViews = new WeakMap<SessionView["session"], SessionView>();
function cleanView(raw: SessionView): SessionView {
  const known = cleanViews.get(raw.session);
  if (known?.agentName === raw.agentName && known.reachable === raw.reachable) return known;
  const view = cleaned(raw);
  cleanViews.set(raw.session, view);
  return view;
}

/** The same value when no string in it needs cleaning, else a copy with all of them cleaned. */
export function cleaned<T>(value: T): T {
  if (typeof value === "string") return clean(value) as T;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => cleaned(item as unknown));
    return items.some((item, index) => item !== value[index]) ? (items as T) : value;
  }
  const changed: [string, unknown][] = [];
  for (const [key, part] of Object.entries(value)) {
    const safe = cleaned(part as unknown);
    if (safe !== part) changed.push([key, safe]);
  }
  return changed.length === 0 ? value : { ...value, ...Object.fromEntries(changed) };
}

/** `agent-2` before `agent-10`. */
const byNumbers = new Intl.Collator("en", { numeric: true });

function agentState({ connection, heard }: AgentView): AgentRow["state"] {
  // What a silent one said of itself is old.
  if (heard?.connection === "connected" && heard.peer_lost_since) return "deaf";
  if (connection.state === "connecting") return "connecting";
  return heard?.connection === "silent" ? "silent" : "up";
}

export function compare<T extends string | number>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Agents that a session can be created on now. */
export function reachableAgents(snapshot: Snapshot): AgentRow[] {
  return snapshot.agents.filter((agent) => agent.reachable);
}

export function agentRow(snapshot: Snapshot, id: AgentId): AgentRow | undefined {
  return snapshot.agents.find(({ view }) => view.id === id);
}

/** What an agent may still pledge; none of it negative, though an operator may have lowered what is allowed. */
export function freeOf({ allowed, pledged }: Capacity): { cpus: number; memory_bytes: number; disk_bytes: number } {
  const free = (resource: "cpus" | "memory_bytes" | "disk_bytes"): number =>
    Math.max(0, allowed[resource] - pledged[resource]);
  return { cpus: free("cpus"), memory_bytes: free("memory_bytes"), disk_bytes: free("disk_bytes") };
}

/** As far as is known: it takes no new sessions. */
export function isCordoned({ capacity }: AgentRow): boolean {
  return capacity?.cordoned === true;
}

/** Share of what is allowed that is pledged, 0 to 1, of the resource that runs out first. */
export function fullness({ allowed, pledged }: Capacity): number {
  const share = (used: number, of: number): number => (of > 0 ? Math.min(1, used / of) : 1);
  return Math.max(
    share(pledged.cpus, allowed.cpus),
    share(pledged.memory_bytes, allowed.memory_bytes),
    share(pledged.disk_bytes, allowed.disk_bytes),
  );
}
