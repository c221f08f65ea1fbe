import type { SessionId } from "../../../domain/index.js";
import type { SessionView } from "../../cluster.js";
import { compare, type Snapshot } from "./snapshot.js";

export const SORTS = ["name", "waiting", "last use", "agent", "status"] as const;
export type Sort = (typeof SORTS)[number];

/** The sessions that the filter lets through, in the order chosen. */
export interface Table {
  rows: readonly SessionView[];
  indexOf: ReadonlyMap<SessionId, number>;
  /** Widest content of the columns that grow with it, in characters (their schemas allow ASCII only). */
  widest: { name: number; agent: number; dns: number };
  /** Sessions in rows that are gone: they keep their place while a dialog is open. */
  gone: ReadonlySet<SessionId>;
}

export const EMPTY_TABLE: Table = tableOf([]);

export function makeTable(snapshot: Snapshot, filter: string, sort: Sort): Table {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const rows: SessionView[] = [];
  for (const view of snapshot.sessions.values()) if (words.length === 0 || matches(view, words)) rows.push(view);
  return tableOf(rows.sort(ORDER[sort]));
}

/** The same rows in the same places with what is known of them now, for as long as a dialog is open (SPEC 11). */
export function heldTable(table: Table, snapshot: Snapshot): Table {
  const gone = new Set<SessionId>();
  const rows = table.rows.map((view) => {
    const now = snapshot.sessions.get(view.session.id);
    if (!now) gone.add(view.session.id);
    return now ?? view;
  });
  return { ...tableOf(rows), gone };
}

function tableOf(rows: readonly SessionView[]): Table {
  const indexOf = new Map<SessionId, number>();
  const widest = { name: 0, agent: 0, dns: 0 };
  for (const [index, { session, agentName }] of rows.entries()) {
    indexOf.set(session.id, index);
    widest.name = Math.max(widest.name, session.name.length);
    widest.agent = Math.max(widest.agent, agentName.length);
    widest.dns = Math.max(widest.dns, session.dns_name?.length ?? 0);
  }
  return { rows, indexOf, widest, gone: new Set() };
}

/** Every word must be found in what a row shows, or in the id. */
function matches({ session, agentName }: SessionView, words: readonly string[]): boolean {
  const text =
    `${session.name} ${agentName} ${session.dns_name ?? ""} ${session.port > 0 ? session.port : ""} ${session.id} ` +
    `${session.status.state} ${waitingSince(session) === null ? "" : "waiting"}`;
  const lower = text.toLowerCase();
  return words.every((word) => lower.includes(word));
}

type Compare = (a: SessionView, b: SessionView) => number;

/** By name, then agent, then id: each row has one place, whatever happens to the others. */
const byName: Compare = (a, b) =>
  compare(a.session.name, b.session.name) || compare(a.agentName, b.agentName) || compare(a.session.id, b.session.id);

const STATE_RANK = { error: 0, locked: 1, running: 2, stopped: 3, orphan: 4 } as const;

const ORDER: Record<Sort, Compare> = {
  name: byName,
  /** Who waits longest comes first; who does not wait comes after, by name. */
  waiting: (a, b) => {
    const [first, second] = [waitingSince(a.session), waitingSince(b.session)];
    if (first === null || second === null) return Number(first === null) - Number(second === null) || byName(a, b);
    return compare(first, second) || byName(a, b);
  },
  "last use": (a, b) =>
    compare(Date.parse(b.session.last_accessed_at), Date.parse(a.session.last_accessed_at)) || byName(a, b),
  agent: (a, b) => compare(a.agentName, b.agentName) || byName(a, b),
  status: (a, b) =>
    STATE_RANK[a.session.status.state] - STATE_RANK[b.session.status.state] ||
    attachedOf(b) - attachedOf(a) ||
    byName(a, b),
};

function attachedOf({ session: { status } }: SessionView): number {
  return status.state === "running" ? status.attached : 0;
}

/** Since when it waits for its user, RFC 3339 in one zone, so that text order is time order; null when it does not. */
function waitingSince({ status }: SessionView["session"]): string | null {
  return status.state === "running" && status.activity?.kind === "waiting" ? status.activity.since : null;
}
