import type { Duplex } from "node:stream";
import { z } from "zod";
import {
  AgentId,
  Capacity,
  DnsName,
  EffectiveSettings,
  Labels,
  Limits,
  LogLine,
  Portable,
  Session,
  SessionId,
  SessionName,
  SettingsChange,
  SettingsWanted,
  WantedLimits,
  Timestamp,
  WantedPort,
} from "../../domain/index.js";
import { Skipped } from "./archive.js";

const Id = z.object({ id: SessionId });
const RequestId = z.string().min(8).max(64);
/** Names one move or one copy; the client makes it. */
const TransferId = z.uuid();
const Owner = z.object({ uid: z.int(), gid: z.int() });

/**
 * The ops of `convocate-agent-rpc` (SPEC 5.1): params and result of each. Unknown fields are ignored, so that peers one
 * minor release apart work together. `request_id` makes a changing op safe to send again.
 */
export const OPS = {
  ping: {
    params: z.object({}),
    result: z.object({
      agent_id: AgentId,
      name: z.string(),
      release: z.string(),
      protocol: z.int(),
      time: Timestamp,
      image: z.string().nullable(),
      uptime_s: z.number(),
      /** None of an agent of an earlier release. */
      labels: Labels.default({}),
    }),
  },
  list: { params: z.object({}), result: z.object({ sessions: z.array(Session) }) },
  get: { params: Id, result: Session },
  create: {
    params: z.object({
      request_id: RequestId,
      name: SessionName,
      /** 0 none, -1 the first free one from 1001 up. */
      port: WantedPort.default(0),
      protocol: z.enum(["tcp", "udp"]).default("tcp"),
      dns_name: DnsName.nullable().default(null),
      limits: WantedLimits.default({}),
      public: z.boolean().default(false),
      docker: z.boolean().default(false),
      start: z.boolean().default(false),
    }),
    result: Session,
  },
  restart: {
    params: Id.extend({ force: z.boolean().default(false), request_id: RequestId.optional() }),
    result: Session,
  },
  kill: { params: Id, result: Session },
  background: { params: Id, result: z.object({ detached: z.int() }) },
  delete: { params: Id.extend({ request_id: RequestId.optional() }), result: z.object({}) },
  /** What is left out stays; a limit of null goes back to the agent's. Takes effect at the next restart. */
  edit: {
    params: Id.extend({
      name: SessionName.optional(),
      port: WantedPort.optional(),
      protocol: z.enum(["tcp", "udp"]).optional(),
      dns_name: DnsName.nullable().optional(),
      public: z.boolean().optional(),
      limits: z
        .object({
          cpus: WantedLimits.shape.cpus.nullable(),
          memory_bytes: Limits.shape.memory_bytes.nullable(),
          pids: Limits.shape.pids.nullable(),
          disk_bytes: Limits.shape.disk_bytes.nullable(),
        })
        .partial()
        .optional(),
    }),
    result: Session,
  },
  /** A copy on the same agent, under a new id, with port 0 and no DNS name. At most 100 skipped files are named. */
  clone: {
    params: Id.extend({ request_id: RequestId, name: SessionName }),
    result: z.object({ session: Session, skipped: z.array(Skipped), skipped_total: z.int() }),
  },
  /** Clears a lock that is stale; a live one with `force` only. */
  override: { params: Id.extend({ force: z.boolean().default(false) }), result: Session },
  /** `effective` is the stack's with `changes` over it. */
  "settings-get": {
    params: z.object({}),
    result: z.object({ effective: EffectiveSettings, changes: SettingsChange }),
  },
  "settings-set": {
    params: z.object({ changes: SettingsWanted }),
    result: z.object({ effective: EffectiveSettings, changes: SettingsChange }),
  },
  capacity: { params: z.object({}), result: Capacity },
  /** The last lines of a session's log, oldest first; `after` leaves out what is not newer. Of sessions that are here. */
  logs: {
    params: Id.extend({ lines: z.int().min(1).max(5000).default(200), after: Timestamp.optional() }),
    result: z.object({ lines: z.array(LogLine) }),
  },
  /**
   * The sending side of a move or of a copy to another agent; docs/architecture.md tells the whole. `look` asks and changes
   * nothing. `begin` needs a channel of its own and no id: its answer is followed by the archive (rpc/archive.ts). With
   * `move_to` it stops the session first, and the client ends it with `commit` on the same channel; a channel that ends
   * without one leaves the session as it was. `cancel` ends such a `begin` from elsewhere and says how it ended. Once
   * moved, `forget` removes what is left, and `undo` takes the session back.
   */
  export: {
    params: z.discriminatedUnion("phase", [
      Id.extend({ phase: z.literal("look") }),
      Id.extend({ phase: z.literal("begin"), transfer_id: TransferId, move_to: AgentId.optional() }),
      Id.extend({ phase: z.literal("commit"), transfer_id: TransferId }),
      Id.extend({ phase: z.literal("cancel"), transfer_id: TransferId }),
      Id.extend({ phase: z.literal("undo"), transfer_id: TransferId }),
      Id.extend({ phase: z.literal("forget"), transfer_id: TransferId }),
    ]),
    result: z.discriminatedUnion("state", [
      /** It is here and nobody moves it; first answer to `begin` too. `bytes`: what its home takes on disk. */
      z.object({ state: z.literal("here"), session: Portable, running: z.boolean(), bytes: z.int(), owner: Owner }),
      z.object({ state: z.literal("moving"), to: AgentId, transfer_id: TransferId }),
      /** Disabled here: the other agent has it, or has all of it but was not told to show it yet. */
      z.object({ state: z.literal("moved"), to: AgentId, transfer_id: TransferId, was_running: z.boolean() }),
      /** Answer to `cancel` and `undo`: it stays on this agent. */
      z.object({ state: z.literal("kept") }),
      z.object({ state: z.literal("gone") }),
    ]),
  },
  /**
   * The receiving side. `check` refuses what `begin` would refuse, before anything is stopped. `begin` needs a channel of its
   * own and no id: after its first answer it takes the archive, and answers once more when all of it is on disk, verified
   * and in waiting, where nobody sees it. `activate` makes it a session, `discard` removes it; `settle` says that the
   * sender has forgotten, so nothing need be remembered here either.
   */
  import: {
    params: z.discriminatedUnion("phase", [
      z.object({
        phase: z.literal("check"),
        session: Portable,
        bytes: z.int().min(0),
        owner: Owner,
        /** Whether it will be started here. */
        start: z.boolean().default(false),
      }),
      z.object({
        phase: z.literal("begin"),
        transfer_id: TransferId,
        from: AgentId,
        request_id: RequestId,
        session: Portable,
        bytes: z.int().min(0),
        owner: Owner,
      }),
      Id.extend({ phase: z.literal("activate"), transfer_id: TransferId }),
      Id.extend({ phase: z.literal("discard"), transfer_id: TransferId }),
      Id.extend({ phase: z.literal("settle"), transfer_id: TransferId }),
    ]),
    result: z.discriminatedUnion("state", [
      /** First answer to `begin`: send. */
      z.object({ state: z.literal("ready") }),
      z.object({ state: z.literal("waiting") }),
      z.object({ state: z.literal("here"), session: Session }),
      /** It came with this transfer and was deleted or moved on since, or a later transfer took its place. */
      z.object({ state: z.literal("left") }),
      /** Nothing of this transfer is here. */
      z.object({ state: z.literal("absent") }),
    ]),
  },
  /**
   * What a running session's terminal shows now, without trailing spaces: plain text, or with `styled` the text with the
   * sequences of its colours, as `tmux capture-pane -e` prints it (an agent that does not know the word sends plain text).
   */
  screen: {
    params: Id.extend({ styled: z.boolean().default(false) }),
    result: z.object({ lines: z.array(z.string()) }),
  },
} as const satisfies Record<string, { params: z.ZodType; result: z.ZodType }>;

export type Op = keyof typeof OPS;
/** Params as a caller may write them (defaults left out). */
export type OpInput<O extends Op> = z.input<(typeof OPS)[O]["params"]>;
/** Params as a handler sees them (defaults filled in). */
export type OpParams<O extends Op> = z.output<(typeof OPS)[O]["params"]>;
export type OpResult<O extends Op> = z.output<(typeof OPS)[O]["result"]>;
/** An op without a handler is answered with UNKNOWN_OP. */
export type RpcHandlers = { [O in Op]?: (params: OpParams<O>) => Promise<OpResult<O>> };

/** Ops that take their channel over, to be answered with an archive, or to be given one. */
export type StreamOp = "export" | "import";
export type StreamParams<O extends StreamOp> = Extract<OpParams<O>, { phase: "begin" }>;
/**
 * Serves the `begin` of these ops: writes its answers itself; what it throws is sent as one more. `signal` is aborted when
 * the stream closes.
 */
export type StreamHandlers = {
  [O in StreamOp]?: (params: StreamParams<O>, stream: Duplex, signal: AbortSignal) => Promise<void>;
};
