import { z } from "zod";
import { AgentId, SessionId } from "./ids.js";

/** RFC 3339 with a zone, as `Date.prototype.toISOString` writes it. */
export const Timestamp = z.iso.datetime({ offset: true });

/** No dash first: programs would take such a name for an option. */
export const SessionName = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$/, "must be 1 to 64 of letters, digits, _ and -, and not begin with -");

/**
 * The host's own doors (SPEC 2): a session that published one would take it from sshd, dnsmasq, rsyslog or convocate. Where the
 * inventory puts some elsewhere, the agent's settings say so beside these.
 */
export const RESERVED_PORTS: readonly number[] = [22, 53, 222, 223, 514];

const notReserved = (port: number): boolean => !RESERVED_PORTS.includes(port);
const isReserved = `must not be one of the host's own (${RESERVED_PORTS.join(", ")})`;

/** What a session publishes: 0 none, or a port that is none of the host's own. */
export const PublishedPort = z.int().min(0).max(65535).refine(notReserved, isReserved);
/** What one may ask for: the same, or -1 for the first free one from 1001 up. */
export const WantedPort = z.int().min(-1).max(65535).refine(notReserved, isReserved);

/** Labels of RFC 1123, lower-cased: each 1 to 63 of a-z, 0-9 and -, no - at an end; 253 characters at most. */
export const DnsName = z
  .string()
  .toLowerCase()
  .max(253)
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/,
    "must be a DNS name (RFC 1123)",
  );

export const Limits = z
  .object({
    cpus: z.number().positive().max(1024),
    memory_bytes: z.int().min(64 * 1024 * 1024),
    pids: z.int().min(16).max(4_194_304),
    disk_bytes: z.int().min(1024 * 1024),
  })
  .partial();
export type Limits = z.infer<typeof Limits>;
/** As they are asked for. A hundredth of a core is the least that the kernel can give (Linux, kernel/sched/core.c: 1 ms of 100). */
export const WantedLimits = Limits.extend({ cpus: z.number().min(0.01).max(1024).optional() });

/** Why a session waits for its user (SPEC 6.6); `silent`: no hook said so, its screen stands still. */
export const WaitingWhy = z.enum(["permission", "question", "finished", "api-error", "silent"]).catch("silent");
export type WaitingWhy = z.infer<typeof WaitingWhy>;

/**
 * Where a session stands now. `locked`: an operation is in flight. `error`: Docker could not be asked, so nothing is known
 * and nothing is claimed. `activity` says whether the CLI works or waits for its user (SPEC 6.6), where that is known.
 */
export const SessionStatus = z.discriminatedUnion("state", [
  z.object({
    state: z.literal("running"),
    /** How many attaches the agent serves now. */
    attached: z.int().min(0),
    started_at: Timestamp,
    activity: z
      .object({ kind: z.enum(["working", "waiting"]), why: WaitingWhy.optional(), since: Timestamp })
      .optional(),
    /** Its container just started, and the CLI has not shown itself yet. */
    starting: z.boolean().optional(),
    /** How often the kernel killed a process in it for want of memory, since it was started; left out while never. */
    oom_kills: z.int().min(1).optional(),
  }),
  z.object({ state: z.literal("stopped"), exit_code: z.int().nullable(), oom_killed: z.boolean() }),
  /** `stale`: nobody works on it any more (its process is gone, or it is from before the last boot); `override` clears it. */
  z.object({ state: z.literal("locked"), operation: z.string(), since: Timestamp, stale: z.boolean().optional() }),
  z.object({ state: z.literal("error"), message: z.string() }),
  /** On no agent: a directory with a `session.json` of an earlier release on the shell host, not migrated yet (SPEC 6.7). */
  z.object({ state: z.literal("orphan"), path: z.string() }),
]);
export type SessionStatus = z.infer<typeof SessionStatus>;

/** A session as every list, wire and JSON output shows it. */
export const Session = z.object({
  id: SessionId,
  name: SessionName,
  agent_id: AgentId,
  /** Published port, 0 for none. */
  port: z.int().min(0).max(65535),
  protocol: z.enum(["tcp", "udp"]),
  dns_name: DnsName.nullable(),
  /** Whether the port is published on every address of the agent, not on its loopback alone. */
  public: z.boolean().default(false),
  /** Whether its container has the agent's Docker socket, which is root on that host: every list warns. */
  docker: z.boolean().default(false),
  /** Whether an edit waits for the next restart. */
  restart_to_apply: z.boolean().default(false),
  limits: Limits,
  created_at: Timestamp,
  /** The last attach or restart. */
  last_accessed_at: Timestamp,
  /** The image of its container, null when it has none yet. */
  image: z.string().nullable(),
  /** Disabled here since it moved to that agent, and the move was cut off before this agent could forget it. */
  moved_to: AgentId.optional(),
  status: SessionStatus,
});
export type Session = z.infer<typeof Session>;

/** What of a session goes along to another agent, beside its home. A `port` of -1 asks for the first free one there. */
export const Portable = z.object({
  id: SessionId,
  name: SessionName,
  port: z.int().min(-1).max(65535),
  protocol: z.enum(["tcp", "udp"]),
  dns_name: DnsName.nullable(),
  public: z.boolean(),
  docker: z.boolean(),
  limits: Limits,
  created_at: Timestamp,
  last_accessed_at: Timestamp,
  /** Whether it has a conversation to go on with. */
  started_before: z.boolean(),
});
export type Portable = z.infer<typeof Portable>;

/** The one character of SPEC 6.2. `reachable` is false for last known data of an agent that does not answer now. */
export function statusCharacter(status: SessionStatus, reachable = true): "-" | "L" | "R" | "C" | "O" | "?" | "!" {
  if (status.state === "orphan") return "O";
  if (!reachable) return "?";
  switch (status.state) {
    case "running":
      return status.attached > 0 ? "C" : "R";
    case "stopped":
      return "-";
    case "locked":
      return "L";
    case "error":
      return "!";
  }
}

/** The detail beside the character: `waiting 3m`, `OOM-killed`, `exited 1`, `starting`, or nothing. */
export function statusDetail(status: SessionStatus, nowMs: number): string {
  switch (status.state) {
    case "running": {
      const { activity, oom_kills, starting } = status;
      const now = activity ? [`${activity.kind} ${shortDuration(nowMs - Date.parse(activity.since))}`] : [];
      return [...(oom_kills === undefined ? [] : ["OOM-killed"]), ...(starting ? ["starting"] : now)].join(", ");
    }
    case "stopped":
      if (status.oom_killed) return "OOM-killed";
      return status.exit_code === null || status.exit_code === 0 ? "" : `exited ${status.exit_code}`;
    case "locked":
      return OPERATION_WORDS[status.operation] ?? status.operation;
    case "error":
      return status.message;
    case "orphan":
      return "not migrated";
  }
}

const OPERATION_WORDS: Record<string, string> = {
  create: "creating",
  restart: "starting",
  kill: "stopping",
  delete: "deleting",
  move: "moving",
  clone: "cloning",
};

/** `45s`, `3m`, `2h`, `5d`: the largest whole unit, since a row has few columns. */
export function shortDuration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  if (s < 86400) return `${Math.floor(s / 3600)}h`;
  return `${Math.floor(s / 86400)}d`;
}
