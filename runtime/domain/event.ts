import { z } from "zod";
import { AgentId, SessionId } from "./ids.js";
import { Session, Timestamp } from "./session.js";

/**
 * One event. `seq` counts an agent's events without gaps within one `stream`, which is made with the spool: a wiped agent
 * starts a new stream at 1, and the shell does not take its events for old ones. A heartbeat is not kept and takes no
 * number; it repeats the last one given (0 before the first). `spool.dropped` stands in for the events it says were
 * dropped and carries the number of the last of them, so it leaves no gap.
 */
export const AgentEvent = z.object({
  seq: z.int().min(0),
  stream: z.string().min(1).max(64),
  // A newer agent may send types that this shell does not know; they are kept and shown, not refused.
  type: z
    .string()
    .regex(/^[a-z]+\.[a-z-]+$/)
    .max(64),
  agent_id: AgentId,
  session_id: SessionId.optional(),
  timestamp: Timestamp,
  data: z.record(z.string(), z.unknown()),
});
export type AgentEvent = z.infer<typeof AgentEvent>;
/** What an agent tells the shell (SPEC 5.3). */
export type EventType =
  | "agent.started"
  | "agent.heartbeat"
  | "agent.shutdown"
  | "agent.peer-lost"
  | "agent.peer-back"
  | "container.created"
  | "container.edited"
  | "container.started"
  | "container.stopped"
  | "container.died"
  | "container.oom"
  | "container.deleted"
  | "session.waiting"
  | "session.working"
  | "image.loaded"
  | "image.pruned"
  | "spool.dropped";

/** `data` of `agent.started`. */
export const StartedData = z.object({ name: z.string(), release: z.string(), image: z.string().nullable() });
/** `data` of `agent.heartbeat`. */
export const HeartbeatData = StartedData.extend({
  uptime_s: z.number(),
  sessions: z.object({ total: z.int(), running: z.int(), attached: z.int() }),
});
export type HeartbeatData = z.infer<typeof HeartbeatData>;

/** What `convocate-status` knows of one agent. `silent`: connected no more, or no heartbeat for 90 s. */
export const AgentStatus = z.object({
  agent_id: AgentId,
  name: z.string(),
  connection: z.enum(["connected", "silent"]),
  since: Timestamp,
  last_heartbeat_at: Timestamp.nullable(),
  release: z.string().nullable(),
  image: z.string().nullable(),
  sessions: HeartbeatData.shape.sessions.nullable(),
  /** Since when it says that it has not heard from the shell's connection to it (`agent.peer-lost`); null when it has. */
  peer_lost_since: Timestamp.nullable().optional(),
});
export type AgentStatus = z.infer<typeof AgentStatus>;

/** Whether convocate-status can keep what it hears. While it cannot, agents keep their events, and the feed lives on. */
export const StoreState = z.discriminatedUnion("state", [
  z.object({ state: z.literal("ok") }),
  z.object({ state: z.literal("failing"), error: z.string(), since: Timestamp }),
]);
export type StoreState = z.infer<typeof StoreState>;

/** An event of the history. `cursor` grows with every event that convocate-status kept, whichever agent's it is. */
export const KeptEvent = z.object({ cursor: z.int(), event: AgentEvent });
export type KeptEvent = z.infer<typeof KeptEvent>;

/** A line of `/run/convocate/status.sock`: one snapshot first, then what changes, as it changes. */
export const FeedLine = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("snapshot"), agents: z.array(AgentStatus), store: StoreState.optional() }),
  z.object({ kind: z.literal("agent"), agent: AgentStatus }),
  z.object({ kind: z.literal("event"), event: AgentEvent, cursor: z.int().optional() }),
  z.object({ kind: z.literal("store"), store: StoreState }),
  /** Answer to a `HistoryRequest`, oldest first; `more` when there are later ones that did not fit. */
  z.object({ kind: z.literal("history"), events: z.array(KeptEvent), more: z.boolean() }),
  /** Answer to a `SessionsRequest`: what that agent listed last; null when nothing is known. */
  z.object({
    kind: z.literal("sessions"),
    agent_id: AgentId,
    listed_at: Timestamp.nullable(),
    sessions: z.array(Session),
  }),
  /** One for each agent that answered a `ListRequest`: its sessions now, and what its `ping` says. */
  z.object({
    kind: z.literal("list"),
    agent_id: AgentId,
    release: z.string(),
    image: z.string().nullable(),
    sessions: z.array(Session),
  }),
  /** No further agent answers a `ListRequest`. */
  z.object({ kind: z.literal("listed") }),
  /** A request that is not understood, or could not be answered. */
  z.object({ kind: z.literal("error"), error: z.string() }),
]);
export type FeedLine = z.infer<typeof FeedLine>;
/** What an agent answered to a `ListRequest`. */
export type AgentList = Extract<FeedLine, { kind: "list" }>;

/**
 * What a reader of the feed may ask, as one JSON line: events of the history that came after `after` (a cursor) or since
 * `since` (by the shell's clock, when they came in); the newest when neither is given.
 */
export const HistoryRequest = z.object({
  kind: z.literal("history"),
  since: Timestamp.optional(),
  after: z.int().optional(),
  limit: z.int().min(1).max(1000),
});
export type HistoryRequest = z.infer<typeof HistoryRequest>;

/** Asks the feed for the last known sessions of an agent that cannot be reached. */
const SessionsRequest = z.object({ kind: z.literal("sessions"), agent_id: AgentId });
type SessionsRequest = z.infer<typeof SessionsRequest>;

/** Asks every agent that convocate-status is connected to for its list, now. */
const ListRequest = z.object({ kind: z.literal("list") });
type ListRequest = z.infer<typeof ListRequest>;

export const FeedRequest = z.discriminatedUnion("kind", [HistoryRequest, SessionsRequest, ListRequest]);
export type FeedRequest = z.infer<typeof FeedRequest>;
