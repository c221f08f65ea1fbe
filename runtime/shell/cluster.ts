import type { AgentId, AgentStatus, Capacity, Labels, LogLine, Session, SessionId } from "../domain/index.js";
import type { OpInput, OpResult } from "../protocol/rpc/ops.js";

/** One agent as the shell sees it now: what its own connection says, beside what `convocate-status` heard of it. */
export interface AgentView {
  id: AgentId;
  name: string;
  /** `host:port`. */
  address: string;
  connection: { state: "connected"; since: number } | { state: "connecting"; since: number; error?: string };
  /** From ping; null until the first answer. */
  release: string | null;
  image: string | null;
  /** From ping; null until it has answered us itself, and convocate-status does not know them. */
  labels: Labels | null;
  /** From the status feed; null when convocate-status has not heard of it or cannot be reached. */
  heard: AgentStatus | null;
}

/** A session with where it is; `reachable` false means last known data (status `?`). An orphan's agent is called `-`. */
export interface SessionView {
  session: Session;
  agentName: string;
  reachable: boolean;
}

export type AttachOutcome =
  /** Detached by its user, killed, or its container ended: the exit status says which. */
  { kind: "ended"; exitStatus: number } | { kind: "failed"; error: Error };

/** What an attach needs of a terminal; real ones wrap stdin and stdout, tests bring streams. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  size(): { cols: number; rows: number };
  onResize(listener: () => void): () => void;
  /** TERM of the terminal. */
  readonly term: string;
  /** False: on a slow connection nothing is shown before its echo. */
  readonly predicts?: boolean;
}

/** How far a move or a copy to another agent is. `bytes` of about `total` were sent. */
export interface MoveProgress {
  step: "checking" | "stopping" | "copying" | "verifying" | "switching" | "starting" | "cleaning";
  bytes: number;
  total: number;
}

export interface MoveResult {
  session: Session;
  /** What was left out: sockets, FIFOs and devices, which belong to the processes of one host. */
  skipped: OpResult<"clone">["skipped"];
  skipped_total: number;
  /** What went wrong once the session had moved: it did not start, or the former agent keeps what is left for now. */
  warnings: string[];
}

/** A line of a session's log, and which agent said so: the one it was on then. */
export interface SessionLogLine extends LogLine {
  agent_id: AgentId;
}

export interface LogOptions {
  /** So many of the last ones; 200 when left out. */
  lines?: number | undefined;
  /** Only what is newer than that time of RFC 3339. */
  after?: string | undefined;
  /** Go through all that was kept on this host, which may take a while. */
  whole?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * All agents as one: what the TUI and the headless client read and ask. It never blocks on one agent: reads come from
 * what is known, operations reject with a ConvocateError within their deadline.
 */
export interface Cluster extends AsyncDisposable {
  agents(): AgentView[];
  sessions(): SessionView[];
  /** Called after every change of either; returns the call that ends it. */
  subscribe(listener: () => void): () => void;
  /**
   * Asks every agent for its list; with `agents` those alone, each over a connection of our own. Resolves when all answered or
   * their deadline passed. Never rejects.
   */
  refresh(options?: { timeoutMs?: number; agents?: readonly AgentId[] }): Promise<void>;
  create(agent: AgentId, spec: Omit<OpInput<"create">, "request_id">): Promise<Session>;
  restart(id: SessionId, options?: { force?: boolean }): Promise<Session>;
  kill(id: SessionId): Promise<Session>;
  /** Detaches every client; the container goes on. Resolves with how many there were. */
  background(id: SessionId): Promise<number>;
  delete(id: SessionId): Promise<void>;
  edit(id: SessionId, change: Omit<OpInput<"edit">, "id">): Promise<Session>;
  /** A copy under a new id, on the same agent or on another. */
  clone(
    id: SessionId,
    options: { name: string; to?: AgentId; onProgress?: (progress: MoveProgress) => void; signal?: AbortSignal },
  ): Promise<OpResult<"clone">>;
  /**
   * Moves a session to another agent, where it runs again when it ran; or finishes a move of it that was cut off. Aborting
   * takes it back as long as that is possible. When it rejects the session is whole on one agent, and the message says
   * where, or what must answer first.
   */
  move(
    id: SessionId,
    to: AgentId,
    options?: { port?: number; onProgress?: (progress: MoveProgress) => void; signal?: AbortSignal },
  ): Promise<MoveResult>;
  /** Clears a stale lock; a live one with `force` only. */
  override(id: SessionId, options?: { force?: boolean }): Promise<Session>;
  settings(agent: AgentId): Promise<OpResult<"settings-get">>;
  changeSettings(agent: AgentId, changes: OpInput<"settings-set">["changes"]): Promise<OpResult<"settings-set">>;
  capacity(agent: AgentId): Promise<Capacity>;
  /**
   * What its terminal shows now, line by line, with the sequences of its colours: to be made safe before it is printed.
   * @throws ConvocateError SESSION_NOT_RUNNING
   */
  screen(id: SessionId): Promise<string[]>;
  /**
   * The last lines of its log, oldest first: also of a session whose agent cannot be reached, and of one that was deleted.
   * @throws ConvocateError SESSION_NOT_FOUND when nothing is known of it; the agent's, when nothing was forwarded either.
   */
  logs(id: SessionId, options?: LogOptions): Promise<SessionLogLine[]>;
  /** Hands the terminal over until the attach ends; reconnects by itself, and says so on the terminal meanwhile. */
  attach(
    id: SessionId,
    terminal: Terminal,
    options?: { mode?: "rw" | "ro"; signal?: AbortSignal },
  ): Promise<AttachOutcome>;
}
