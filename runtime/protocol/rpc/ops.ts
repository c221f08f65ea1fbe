import { z } from "zod";
import { AgentId, DnsName, Limits, Session, SessionId, SessionName, Timestamp } from "../../domain/index.js";

const Id = z.object({ id: SessionId });

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
    }),
  },
  list: { params: z.object({}), result: z.object({ sessions: z.array(Session) }) },
  get: { params: Id, result: Session },
  create: {
    params: z.object({
      request_id: z.string().min(8).max(64),
      name: SessionName,
      /** 0 none, -1 the first free one from 1001 up. */
      port: z.int().min(-1).max(65535).default(0),
      protocol: z.enum(["tcp", "udp"]).default("tcp"),
      dns_name: DnsName.nullable().default(null),
      limits: Limits.default({}),
      start: z.boolean().default(false),
    }),
    result: Session,
  },
  restart: { params: Id.extend({ force: z.boolean().default(false) }), result: Session },
  kill: { params: Id, result: Session },
  background: { params: Id, result: z.object({ detached: z.int() }) },
  delete: { params: Id, result: z.object({}) },
} as const satisfies Record<string, { params: z.ZodType; result: z.ZodType }>;

export type Op = keyof typeof OPS;
/** Params as a caller may write them (defaults left out). */
export type OpInput<O extends Op> = z.input<(typeof OPS)[O]["params"]>;
/** Params as a handler sees them (defaults filled in). */
export type OpParams<O extends Op> = z.output<(typeof OPS)[O]["params"]>;
export type OpResult<O extends Op> = z.output<(typeof OPS)[O]["result"]>;
export type RpcHandlers = { [O in Op]: (params: OpParams<O>) => Promise<OpResult<O>> };
