import {
  ConvocateError,
  EffectiveSettings,
  SessionId,
  type AgentId,
  type Session,
  type SettingsChange,
} from "../../runtime/domain/index.js";
import type { AgentView, AttachOutcome, Cluster, SessionView, Terminal } from "../../runtime/shell/cluster.js";
import { setTimeout as sleep } from "node:timers/promises";
import { ATTACK } from "./fixtures.js";
import { STACK_SETTINGS } from "../support/samples.js";

/** What the fake does badly, by the session's name: each stands for a way a real cluster fails. */
const LONG_ERROR =
  "admission denied: would push convocate-sessions.slice to 96% of host CPU (7.7 of 7.2 cores allowed); current usage " +
  "6.7 cores across 6 sessions. Kill or delete a session on agent-1, or create it on another agent, then try again.";

/**
 * A cluster in memory, for driving the TUI: operations take `delayMs`, then the lists change. Sessions with special names
 * misbehave: `stubborn` cannot be killed, `unattachable` cannot be attached to, `slow` takes 5 s to start, and a session
 * cannot be created with the name `refused`.
 */
export class FakeCluster implements Cluster {
  #sessions: SessionView[];
  readonly #agents: AgentView[];
  readonly #listeners = new Set<() => void>();
  readonly #delayMs: number;
  /** What the attaches were given, byte for byte. */
  readonly attachInput: Buffer[] = [];
  #created = 0;

  constructor(sessions: readonly SessionView[], agents: readonly AgentView[], delayMs = 150) {
    this.#sessions = [...sessions];
    this.#agents = [...agents];
    this.#delayMs = delayMs;
  }

  agents(): AgentView[] {
    return [...this.#agents];
  }

  sessions(): SessionView[] {
    return [...this.#sessions];
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async refresh(): Promise<void> {
    await sleep(this.#delayMs);
  }

  async create(agent: AgentId, spec: Parameters<Cluster["create"]>[1]): Promise<Session> {
    await sleep(this.#delayMs);
    if (spec.name === "refused") throw new ConvocateError("ADMISSION_DENIED", LONG_ERROR);
    const now = new Date().toISOString();
    this.#created += 1;
    const session: Session = {
      id: SessionId.parse(`aaaaaaaa-0000-4000-8000-${String(this.#created).padStart(12, "0")}`),
      name: spec.name,
      agent_id: agent,
      port: spec.port === -1 ? 1001 : (spec.port ?? 0),
      protocol: spec.protocol ?? "tcp",
      dns_name: spec.dns_name ?? null,
      public: spec.public ?? false,
      docker: spec.docker ?? false,
      restart_to_apply: false,
      limits: spec.limits ?? {},
      created_at: now,
      last_accessed_at: now,
      image: null,
      status: spec.start
        ? { state: "running", attached: 0, started_at: now }
        : { state: "stopped", exit_code: null, oom_killed: false },
    };
    const agentName = this.#agents.find(({ id }) => id === agent)?.name ?? agent;
    this.#change([...this.#sessions, { session, agentName, reachable: true }]);
    return session;
  }

  async restart(id: SessionId, { force = false } = {}): Promise<Session> {
    const { session } = this.#get(id);
    if (session.status.state === "running" && !force)
      throw new ConvocateError("SESSION_RUNNING", `${session.name} is running: restart it with force`);
    await sleep(session.name === "slow" ? 5000 : this.#delayMs);
    const now = new Date().toISOString();
    return this.#update(id, { last_accessed_at: now, status: { state: "running", attached: 0, started_at: now } });
  }

  async kill(id: SessionId): Promise<Session> {
    await sleep(this.#delayMs);
    if (this.#get(id).session.name === "stubborn")
      throw new ConvocateError("DOCKER_ERROR", "Docker did not stop the container", { cause: new Error(LONG_ERROR) });
    return this.#update(id, { status: { state: "stopped", exit_code: 0, oom_killed: false } });
  }

  async background(id: SessionId): Promise<number> {
    await sleep(this.#delayMs);
    const { status } = this.#get(id).session;
    if (status.state !== "running") throw new ConvocateError("SESSION_NOT_RUNNING", "it is not running");
    this.#update(id, { status: { ...status, attached: 0 } });
    return status.attached;
  }

  async delete(id: SessionId): Promise<void> {
    await sleep(this.#delayMs);
    this.#get(id);
    this.vanish(id);
  }

  async edit(id: SessionId, { limits, port, ...change }: Parameters<Cluster["edit"]>[1]): Promise<Session> {
    await sleep(this.#delayMs);
    const { session } = this.#get(id);
    const merged = { ...session.limits, ...limits };
    return this.#update(id, {
      ...(Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as Partial<Session>),
      ...(port === undefined ? {} : { port: port === -1 ? 1001 : port }),
      limits: Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null && value !== undefined)),
      restart_to_apply: session.status.state === "running",
    });
  }

  async clone(id: SessionId, { name }: { name: string }): ReturnType<Cluster["clone"]> {
    const { session, agentName } = this.#get(id);
    await sleep(this.#delayMs);
    this.#created += 1;
    const copy: Session = {
      ...session,
      id: SessionId.parse(`bbbbbbbb-0000-4000-8000-${String(this.#created).padStart(12, "0")}`),
      name,
      port: 0,
      dns_name: null,
      status: { state: "stopped", exit_code: null, oom_killed: false },
    };
    this.#change([...this.#sessions, { session: copy, agentName, reachable: true }]);
    return { session: copy, skipped: [], skipped_total: 0 };
  }

  async override(id: SessionId, { force = false } = {}): Promise<Session> {
    await sleep(this.#delayMs);
    const { session } = this.#get(id);
    if (session.status.state === "locked" && !session.status.stale && !force)
      throw new ConvocateError("SESSION_LOCKED", `${session.name} is locked by a live operation`);
    return this.#update(id, { status: { state: "stopped", exit_code: null, oom_killed: false } });
  }

  #settings: SettingsChange = {};
  async settings(): ReturnType<Cluster["settings"]> {
    await sleep(this.#delayMs);
    return { effective: EffectiveSettings.parse({ ...STACK_SETTINGS, ...this.#settings }), changes: this.#settings };
  }

  async changeSettings(_agent: AgentId, changes: SettingsChange): ReturnType<Cluster["settings"]> {
    this.#settings = { ...this.#settings, ...changes };
    return await this.settings();
  }

  async capacity(): ReturnType<Cluster["capacity"]> {
    await sleep(this.#delayMs);
    const running = this.#sessions.filter(({ session }) => session.status.state === "running").length;
    const gib = 1024 ** 3;
    return {
      total: { cpus: 8, memory_bytes: 32 * gib, disk_bytes: 500 * gib },
      allowed: { cpus: 7.2, memory_bytes: 28.8 * gib, disk_bytes: 450 * gib },
      pledged: {
        cpus: running * 0.5,
        memory_bytes: running * 2 * gib,
        disk_bytes: running * 5 * gib,
        sessions: running,
      },
      used: { cpus: running * 0.1, memory_bytes: running * gib, disk_bytes: 20 * gib },
      cordoned: this.#settings.cordoned ?? false,
      warnings: [],
    };
  }

  /** A first line, and another one each time somebody asks. */
  async logs(id: SessionId, { after }: { after?: string } = {}): ReturnType<Cluster["logs"]> {
    await sleep(this.#delayMs);
    const { session } = this.#get(id);
    if (session.name === "stubborn") throw new ConvocateError("DOCKER_ERROR", "Docker cannot read the log");
    this.#asked += 1;
    const { agent_id } = session;
    const lines = [
      {
        agent_id,
        timestamp: session.created_at,
        text: `{"event":"container.started","text":"name ${session.name}"}`,
      },
      {
        agent_id,
        timestamp: new Date().toISOString(),
        text: `{"event":"asked","text":"times ${this.#asked}\\u001b]52;c;ZXZpbA==\\u0007"}`,
      },
    ];
    return lines.filter(({ timestamp }) => after === undefined || timestamp > after);
  }
  #asked = 0;

  async screen(id: SessionId): Promise<string[]> {
    await sleep(this.#delayMs);
    const { session } = this.#get(id);
    if (session.name === "unattachable") throw new ConvocateError("UNKNOWN_OP", "update the agent");
    return ["", `> what \u001b[1;38;5;174m${session.name}\u001b[0m shows`, `  ? for 目录${ATTACK}`, ""];
  }

  async move(id: SessionId, to: AgentId, options: Parameters<Cluster["move"]>[2] = {}): ReturnType<Cluster["move"]> {
    const total = 100 * 1024 * 1024;
    for (const bytes of [0, total / 2, total]) {
      options.onProgress?.({ step: "copying", bytes, total });
      await sleep(this.#delayMs);
    }
    const agentName = this.#agents.find((agent) => agent.id === to)?.name ?? to;
    const { session } = this.#get(id);
    const moved = { ...session, agent_id: to, ...(options.port === undefined ? {} : { port: options.port }) };
    this.#change([
      ...this.#sessions.filter((view) => view.session.id !== id),
      { session: moved, agentName, reachable: true },
    ]);
    return { session: moved, skipped: [], skipped_total: 0, warnings: [] };
  }

  /** As when a connection comes and goes. */
  setConnected(index: number, connected: boolean): void {
    const agent = this.#agents[index];
    if (!agent) throw new Error(`no agent ${index}`);
    this.#agents[index] = {
      ...agent,
      connection: connected
        ? { state: "connected", since: Date.now() }
        : { state: "connecting", since: Date.now(), error: "connection lost" },
    };
    this.#change(this.#sessions);
  }

  /** A session goes away as if somebody else had deleted it. */
  vanish(id: SessionId): void {
    this.#change(this.#sessions.filter(({ session }) => session.id !== id));
  }

  /** Shows in hex what is typed, until Ctrl-b d. */
  async attach(id: SessionId, terminal: Terminal, options: { signal?: AbortSignal } = {}): Promise<AttachOutcome> {
    const { session } = this.#get(id);
    if (session.name === "unattachable")
      return {
        kind: "failed",
        error: new ConvocateError(
          "HOST_KEY_MISMATCH",
          "agent-1 shows another host key: expected SHA256:abc, got SHA256:def",
        ),
      };
    const { input, output } = terminal;
    const raw = input as NodeJS.ReadableStream & { setRawMode?(raw: boolean): unknown; isRaw?: boolean };
    raw.setRawMode?.(true);
    output.write(`attached to ${session.name} at ${terminal.size().cols}x${terminal.size().rows}\r\n`);
    const stopWatching = terminal.onResize(() =>
      output.write(`size ${terminal.size().cols}x${terminal.size().rows}\r\n`),
    );
    const { promise, resolve } = Promise.withResolvers<AttachOutcome>();
    const onData = (chunk: Buffer | string): void => {
      if (typeof chunk === "string") output.write("TEXT NOT BYTES\r\n");
      const bytes = Buffer.from(chunk);
      this.attachInput.push(bytes);
      output.write(`got ${bytes.toString("hex")}\r\n`);
      if (bytes.toString("latin1").endsWith("\u0002d")) resolve({ kind: "ended", exitStatus: 0 });
    };
    const onAbort = (): void => resolve({ kind: "ended", exitStatus: 130 });
    options.signal?.addEventListener("abort", onAbort);
    input.on("data", onData);
    input.resume();
    const outcome = await promise;
    input.off("data", onData);
    input.pause();
    options.signal?.removeEventListener("abort", onAbort);
    stopWatching();
    // As the real one may: the terminal is given back cooked, and it is the TUI's business to make it raw again.
    raw.setRawMode?.(false);
    return outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear();
  }

  #get(id: SessionId): SessionView {
    const view = this.#sessions.find(({ session }) => session.id === id);
    if (!view) throw new ConvocateError("SESSION_NOT_FOUND", `no session ${id}`);
    return view;
  }

  #update(id: SessionId, change: Partial<Session>): Session {
    const view = this.#get(id);
    const session = { ...view.session, ...change };
    this.#change(this.#sessions.map((each) => (each === view ? { ...view, session } : each)));
    return session;
  }

  #change(sessions: SessionView[]): void {
    this.#sessions = sessions;
    for (const listener of this.#listeners) listener();
  }
}
