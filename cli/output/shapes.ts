import { z } from "zod";
import {
  AgentEvent,
  AgentId,
  AgentStatus,
  Capacity,
  EffectiveSettings,
  Labels,
  LogEntry,
  LogLine,
  Session,
  SessionId,
  SettingsChange,
  Timestamp,
} from "../../runtime/domain/index.js";

/** A session with where it is. An orphan is on no agent: `agent_id` and `agent` are null. */
const SessionRow = Session.extend({
  agent_id: AgentId.nullable(),
  agent: z.string().nullable().describe("the agent's name"),
  reachable: z.boolean().describe("false: last known data of an agent that does not answer now"),
});

const Unreachable = z.object({ agent_id: AgentId, agent: z.string(), error: z.string().nullable() });

const Connection = z.object({
  state: z.enum(["connected", "connecting"]),
  since: Timestamp,
  error: z.string().optional(),
});

const Agent = z.object({
  id: AgentId,
  name: z.string(),
  address: z.string(),
  answers: z.boolean(),
  connection: Connection,
  release: z.string().nullable(),
  image: z.string().nullable(),
  labels: Labels.nullable().default(null).describe("the inventory's; null when the agent has not answered"),
  heard: AgentStatus.nullable().describe("what convocate-status heard of it; null when nothing"),
});

const Check = z.object({
  subject: z.string().describe("an agent's name, or `shell`"),
  check: z.string(),
  state: z.enum(["ok", "warn", "fail"]),
  message: z.string(),
  mend: z.string().nullable().describe("what to do about it"),
});

const Skipped = z.object({ path: z.string(), kind: z.enum(["socket", "fifo", "device"]) });

/**
 * What `--json` prints, by verb; `events`, `logs` and `ls --watch` print one such object a line. `docs/schemas` holds these
 * as JSON schemas, made by script/schemas and compared by a test.
 */
export const SHAPES = {
  ls: z.object({ sessions: z.array(SessionRow), unreachable: z.array(Unreachable) }),
  session: SessionRow,
  clone: z.object({
    session: SessionRow,
    skipped: z.array(Skipped).describe("at most 100 files that were left out"),
    skipped_total: z.int(),
  }),
  move: z.object({
    session: SessionRow,
    skipped: z.array(Skipped).describe("at most 100 files that were left out"),
    skipped_total: z.int(),
    warnings: z.array(z.string()).describe("what went wrong once it had moved"),
  }),
  background: z.object({ id: SessionId, detached: z.int() }),
  delete: z.object({ id: SessionId, deleted: z.literal(true) }),
  agents: z.object({ agents: z.array(Agent) }),
  capacity: z.object({
    agents: z.array(
      z.object({ agent_id: AgentId, agent: z.string(), capacity: Capacity.nullable(), error: z.string().nullable() }),
    ),
  }),
  settings: z.object({
    agent_id: AgentId,
    agent: z.string(),
    effective: EffectiveSettings,
    changes: SettingsChange,
  }),
  event: AgentEvent.extend({ agent: z.string().nullable().describe("the agent's name") }),
  log: LogLine.extend({
    agent_id: AgentId.describe("the agent it was on then"),
    entry: LogEntry.nullable().describe("what `text` says, where it is JSON"),
  }),
  doctor: z.object({ checks: z.array(Check) }),
  version: z.object({ release: z.string() }),
} as const;

export type ShapeName = keyof typeof SHAPES;
export type Shape<K extends ShapeName> = z.input<(typeof SHAPES)[K]>;

/** Which shape a verb's `--json` has. */
export const SHAPE_OF_VERB: Readonly<Record<string, ShapeName>> = {
  ls: "ls",
  show: "session",
  new: "session",
  start: "session",
  restart: "session",
  kill: "session",
  edit: "session",
  override: "session",
  clone: "clone",
  move: "move",
  background: "background",
  delete: "delete",
  agents: "agents",
  capacity: "capacity",
  settings: "settings",
  events: "event",
  logs: "log",
  doctor: "doctor",
  version: "version",
};
