import type { AgentId, SessionId } from "../../../domain/index.js";
import type { AgentView, SessionView } from "../../cluster.js";

/** What the cluster says at one moment, in the order the screen shows it. Made once per change, read by every frame. */
export interface Snapshot {
  rows: readonly SessionView[];
  indexOf: ReadonlyMap<SessionId, number>;
  agents: readonly AgentRow[];
  /** Widest content of the columns that grow with it, in characters (their schemas allow ASCII only). */
  widest: { name: number; agent: number; dns: number };
}

export interface AgentRow {
  view: AgentView;
  /**
   * `up`: answers us, and its events arrive (or nobody listens for events here). `silent`: answers us, but
   * convocate-status hears nothing from it. `connecting`: does not answer us now.
   */
  state: "up" | "silent" | "connecting";
  sessions: number;
  running: number;
}

export const EMPTY_SNAPSHOT: Snapshot = makeSnapshot([], []);

/** Sorted by name, then agent, then id, so that a row keeps its place whatever happens to the others. */
export function makeSnapshot(sessions: readonly SessionView[], agents: readonly AgentView[]): Snapshot {
  const rows = [...sessions].sort(
    (a, b) =>
      compare(a.session.name, b.session.name) ||
      compare(a.agentName, b.agentName) ||
      compare(a.session.id, b.session.id),
  );
  const indexOf = new Map<SessionId, number>();
  const counts = new Map<AgentId, { sessions: number; running: number }>();
  const widest = { name: 0, agent: 0, dns: 0 };
  for (const [index, { session, agentName }] of rows.entries()) {
    indexOf.set(session.id, index);
    const count = counts.get(session.agent_id) ?? { sessions: 0, running: 0 };
    count.sessions += 1;
    if (session.status.state === "running") count.running += 1;
    counts.set(session.agent_id, count);
    widest.name = Math.max(widest.name, session.name.length);
    widest.agent = Math.max(widest.agent, agentName.length);
    widest.dns = Math.max(widest.dns, session.dns_name?.length ?? 0);
  }
  return {
    rows,
    indexOf,
    widest,
    agents: [...agents]
      .sort((a, b) => compare(a.name, b.name) || compare(a.id, b.id))
      .map((view) => ({
        view,
        state: agentState(view),
        sessions: counts.get(view.id)?.sessions ?? 0,
        running: counts.get(view.id)?.running ?? 0,
      })),
  };
}

function agentState(view: AgentView): AgentRow["state"] {
  if (view.connection.state === "connecting") return "connecting";
  return view.heard?.connection === "silent" ? "silent" : "up";
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Agents that a session can be created on now. */
export function reachableAgents(snapshot: Snapshot): AgentRow[] {
  return snapshot.agents.filter((agent) => agent.state !== "connecting");
}
