import {
  AgentId,
  SessionId,
  type AgentStatus,
  type Capacity,
  type Resources,
  type Session,
  type SessionStatus,
} from "../../runtime/domain/index.js";
import type { AgentView, SessionView } from "../../runtime/shell/cluster.js";
import { PLAIN } from "../support/samples.js";

/** The moment all fixtures are from: 2026-11-21 14:03:22 local time. */
export const NOW_MS = new Date(2026, 10, 21, 14, 3, 22).getTime();

/** OSC 52 (the clipboard), a title, cursor moves, a bell, an erased screen, the mouse, an 8-bit control. */
export const ATTACK =
  "\u001b]52;c;ZXZpbA==\u0007\u001b]0;evil title\u0007\u001b[10;10Hmoved\u0007\u001b[2J\u001b[?1003h\u009b31m\u202e";

/** RFC 3339, so many seconds before NOW_MS (or before `nowMs`). */
export function ago(seconds: number, nowMs = NOW_MS): string {
  return new Date(nowMs - seconds * 1000).toISOString();
}

export function sessionId(number: number): SessionId {
  return SessionId.parse(`3f2a91c4-5d07-4b6e-8a10-${number.toString(16).padStart(12, "0")}`);
}

export function agentId(number: number): AgentId {
  return AgentId.parse(`agent${String(number).padStart(3, "0")}`);
}

export const running = (attached = 0): SessionStatus => ({ state: "running", attached, started_at: ago(4000) });
export const working = (seconds: number): SessionStatus => ({
  state: "running",
  attached: 1,
  started_at: ago(4000),
  activity: { kind: "working", since: ago(seconds) },
});
export const waiting = (seconds: number): SessionStatus => ({
  state: "running",
  attached: 0,
  started_at: ago(4000),
  activity: { kind: "waiting", why: "permission", since: ago(seconds) },
});
export const stopped = (exitCode: number | null = null, oomKilled = false): SessionStatus => ({
  state: "stopped",
  exit_code: exitCode,
  oom_killed: oomKilled,
});

export function agentView(number: number, over: Partial<AgentView> = {}): AgentView {
  return {
    id: agentId(number),
    name: `agent-${number}`,
    address: `10.0.0.${number}:222`,
    connection: { state: "connected", since: NOW_MS - 60_000 },
    release: "3.0.0",
    image: "convocate:3.0.0",
    labels: {},
    heard: null,
    ...over,
  };
}

/** A host of 8 cores, 32 GiB and 500 GB, with so much of it promised; a third of that is used. */
export function capacity(pledged: Partial<Resources> = {}): Capacity {
  const gib = 1024 ** 3;
  const promised = { cpus: 1, memory_bytes: 4 * gib, disk_bytes: 20 * gib, ...pledged };
  return {
    total: { cpus: 8, memory_bytes: 32 * gib, disk_bytes: 500 * gib },
    allowed: { cpus: 7.2, memory_bytes: 28.8 * gib, disk_bytes: 450 * gib },
    pledged: { ...promised, sessions: 2 },
    used: { cpus: promised.cpus / 3, memory_bytes: promised.memory_bytes / 3, disk_bytes: promised.disk_bytes / 3 },
    cordoned: false,
    warnings: [],
  };
}

export function heard(number: number, connection: AgentStatus["connection"]): AgentStatus {
  return {
    agent_id: agentId(number),
    name: `agent-${number}`,
    connection,
    since: ago(100),
    last_heartbeat_at: ago(10),
    release: "3.0.0",
    image: "convocate:3.0.0",
    sessions: null,
  };
}

export function sessionView(
  number: number,
  name: string,
  over: Partial<Session> = {},
  view: Partial<Omit<SessionView, "session">> & { agent?: number } = {},
): SessionView {
  const agent = view.agent ?? 1;
  return {
    session: {
      id: sessionId(number),
      name,
      agent_id: agentId(agent),
      ...PLAIN,
      created_at: ago(90_000),
      last_accessed_at: ago(125),
      image: "convocate:3.0.0",
      status: running(),
      ...over,
    },
    agentName: view.agentName ?? `agent-${agent}`,
    reachable: view.reachable ?? true,
  };
}

/** A cluster with one of everything that a row can be. */
export function variedSessions(): SessionView[] {
  return [
    sessionView(1, "api-server", { port: 1001, dns_name: "api.lab", status: waiting(200) }),
    sessionView(2, "billing-refactor", { status: working(47), last_accessed_at: ago(2) }, { agent: 2 }),
    sessionView(3, "crawler", { status: stopped(1), last_accessed_at: ago(7300) }),
    sessionView(4, "docs", { port: 8080, dns_name: "docs.lab", status: running(1), last_accessed_at: ago(30) }),
    sessionView(5, "etl-nightly", { status: stopped(137, true), last_accessed_at: ago(90_000) }, { agent: 2 }),
    sessionView(6, "flaky-tests", {
      status: { state: "locked", operation: "restart", since: ago(1) },
      last_accessed_at: ago(1),
    }),
    sessionView(7, "game-server", { port: 5353, protocol: "udp", status: running() }, { agent: 3, reachable: false }),
    sessionView(8, "infra", { status: { state: "error", message: "Docker does not answer" } }, { agent: 2 }),
    sessionView(9, "new-idea", { status: stopped(), last_accessed_at: ago(260_000) }),
  ];
}

export function variedAgents(): AgentView[] {
  return [
    agentView(1, { heard: heard(1, "connected") }),
    agentView(2, { heard: heard(2, "silent") }),
    agentView(3, {
      connection: { state: "connecting", since: NOW_MS - 5000, error: "10.0.0.3:222 refused the connection" },
      release: null,
    }),
  ];
}

/** So many sessions on ten agents. */
export function manySessions(count: number): SessionView[] {
  return Array.from({ length: count }, (_, index) =>
    sessionView(
      index + 1,
      `session-${String(index).padStart(5, "0")}`,
      {
        port: index % 3 === 0 ? 1001 + (index % 60_000) : 0,
        dns_name: index % 2 === 0 ? `s${index}.lab` : null,
        status: index % 5 === 0 ? waiting(index % 4000) : index % 7 === 0 ? stopped(0) : running(index % 2),
        last_accessed_at: ago(index % 100_000),
      },
      { agent: 1 + (index % 10) },
    ),
  );
}
