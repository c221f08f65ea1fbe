import { randomUUID } from "node:crypto";
import {
  byText,
  ConvocateError,
  shellPaths,
  type AgentId,
  type AgentList,
  type Capacity,
  type Session,
  type SessionId,
} from "../../domain/index.js";
import { silentLog, type Log } from "../../protocol/log.js";
import type { OpInput, OpResult } from "../../protocol/rpc/ops.js";
import { attachSession } from "../attach/attach.js";
import { refuseTakenName } from "../dns/taken.js";
import { gatherLog } from "../logs/gather.js";
import type {
  AgentView,
  AttachOutcome,
  Cluster,
  LogOptions,
  MoveResult,
  SessionLogLine,
  SessionView,
  Terminal,
} from "../cluster.js";
import { COPY_TIMEOUT_MS, OPERATION_TIMEOUT_MS, QUESTION_TIMEOUT_MS, type Agent } from "./agent.js";
import { Agents } from "./agents.js";
import { cloneBetween, moveBetween } from "./between.js";
import { StatusFeed } from "./feed.js";
import { homeOfOrphans, Orphans } from "./orphans.js";
import type { TransferOptions } from "./transfer.js";

/** A full refresh, whatever the feed says (SPEC 11). */
const REFRESH_EVERY_MS = 15_000;
/** convocate-status is on this machine. */
const RECALL_TIMEOUT_MS = 500;
/** It asks the agents, and leaves out who takes longer than 0.7 s. */
const ASK_TIMEOUT_MS = 1000;
const NOBODY: ReadonlySet<AgentId> = new Set();

type Paths = Record<"agentKeys" | "statusSocket" | "dnsmasqHosts" | "logs", string>;

export interface ClusterOptions {
  paths?: Partial<Paths>;
  /** Where orphans may lie: null for nowhere; the service user's home when left out, unless this host is an agent too. */
  orphans?: string | null;
  log?: Log;
  /**
   * When agents are connected to. `at-once`: from the start. `after-list`: once convocate-status has asked them all for us,
   * which is one question on this machine instead of a handshake with each. `when-needed`: only those that it could not ask,
   * and those of which more is wanted than their list. Default: at-once.
   */
  connect?: "at-once" | "after-list" | "when-needed";
  /** Aborting it closes the cluster. */
  signal?: AbortSignal;
}

/**
 * Connects to every agent in the folder of agents and to convocate-status's feed. Returns at once: what does not answer
 * yet is `connecting`. @throws ConvocateError IO_ERROR when the folder of agents cannot be read.
 */
export async function openCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const orphans = new Orphans(options.orphans === undefined ? await homeOfOrphans() : options.orphans);
  const cluster = new LiveCluster(orphans, {
    paths: { ...shellPaths, ...options.paths },
    log: options.log ?? silentLog,
    connect: options.connect ?? "at-once",
  });
  try {
    await cluster.start();
    options.signal?.throwIfAborted();
  } catch (thrown) {
    await cluster[Symbol.asyncDispose]();
    throw thrown;
  }
  options.signal?.addEventListener("abort", () => void cluster[Symbol.asyncDispose](), { once: true });
  return cluster;
}

class LiveCluster implements Cluster {
  readonly #agents: Agents;
  readonly #feed: StatusFeed;
  readonly #orphans: Orphans;
  readonly #paths: Paths;
  readonly #listeners = new Set<() => void>();
  readonly #connect: NonNullable<ClusterOptions["connect"]>;
  /** The first question to convocate-status, until somebody has waited for it. */
  #asked: Promise<ReadonlySet<AgentId>> | null = null;
  #timer: NodeJS.Timeout | undefined;
  #announced: NodeJS.Immediate | null = null;
  #closing: Promise<void> | null = null;

  constructor(
    orphans: Orphans,
    { paths, log, connect }: { paths: Paths; log: Log; connect: NonNullable<ClusterOptions["connect"]> },
  ) {
    this.#orphans = orphans;
    this.#paths = paths;
    this.#connect = connect;
    this.#agents = new Agents(paths.agentKeys, {
      log,
      onChange: () => this.#changed(),
      connects: connect === "at-once",
    });
    this.#feed = new StatusFeed({
      path: paths.statusSocket,
      log,
      onChange: (id) => {
        if (id && this.#feed.heard(id)?.connection === "connected") this.#agents.find(id)?.nudge();
        this.#changed();
      },
      onEvent: (event) => this.#agents.find(event.agent_id)?.refreshSoon(),
    });
  }

  async start(): Promise<void> {
    this.#feed.start();
    await Promise.all([this.#agents.start(), this.#orphans.look()]);
    if (this.#connect === "after-list") {
      this.#asked = this.#ask();
      void this.#asked.finally(() => this.#agents.connect());
    }
    this.#timer = setInterval(() => {
      for (const agent of this.#agents.all()) agent.refreshSoon();
      void this.#orphans.look().then(() => this.#changed());
    }, REFRESH_EVERY_MS);
  }

  agents(): AgentView[] {
    return this.#agents
      .all()
      .map((agent) => ({ ...agent.view(), heard: this.#feed.heard(agent.id) }))
      .sort((a, b) => byText(a.name, b.name) || byText(a.id, b.id));
  }

  sessions(): SessionView[] {
    const views: SessionView[] = [];
    for (const agent of this.#agents.all()) {
      const { reachable } = agent;
      for (const session of agent.sessions()) {
        // Shown once: what is left after a move is no session as long as the other agent has it.
        if (session.moved_to && this.#agents.find(session.moved_to)?.has(session.id)) continue;
        views.push({ session, agentName: agent.entry.name, reachable });
      }
    }
    for (const session of this.#orphans.sessions()) views.push({ session, agentName: "-", reachable: true });
    return views;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async refresh({
    timeoutMs = QUESTION_TIMEOUT_MS,
    agents,
  }: { timeoutMs?: number; agents?: readonly AgentId[] } = {}): Promise<void> {
    const told = agents ? NOBODY : await this.#told();
    const which = ({ id }: Agent): boolean => !told.has(id) && (agents?.includes(id) ?? true);
    await this.#agents.refresh(timeoutMs, which);
    // Who never answered us may have answered convocate-status: its sessions show as last known.
    const strangers = this.#agents.all().filter((agent) => !agent.listed && which(agent));
    await Promise.all(
      strangers.map(async (agent) => agent.recall(await this.#feed.lastKnown(agent.id, RECALL_TIMEOUT_MS))),
    );
  }

  /** Whose list convocate-status has just asked for us: each time, or the first time only when we connect ourselves. */
  async #told(): Promise<ReadonlySet<AgentId>> {
    if (this.#connect === "when-needed") return await this.#ask();
    const first = this.#asked;
    this.#asked = null;
    return (await first) ?? NOBODY;
  }

  /** Has convocate-status ask all agents; who answered it. Never rejects. */
  async #ask(): Promise<ReadonlySet<AgentId>> {
    const told = new Set<AgentId>();
    const onList = (list: AgentList): void => {
      if (this.#agents.find(list.agent_id)?.vouch(list)) told.add(list.agent_id);
    };
    await this.#feed.listNow(onList, ASK_TIMEOUT_MS);
    return told;
  }

  async create(id: AgentId, spec: Omit<OpInput<"create">, "request_id">): Promise<Session> {
    const agent = this.#agents.get(id);
    await this.#refuseTakenDnsName(spec.dns_name ?? null, null);
    const params = { ...spec, request_id: randomUUID() };
    const timeoutMs = spec.start ? OPERATION_TIMEOUT_MS : QUESTION_TIMEOUT_MS;
    return this.#settled(agent, await agent.callAgain("create", params, timeoutMs));
  }

  async restart(id: SessionId, options: { force?: boolean } = {}): Promise<Session> {
    const agent = this.#agentOf(id);
    const params = { id, ...options, request_id: randomUUID() };
    return this.#settled(agent, await agent.callAgain("restart", params, OPERATION_TIMEOUT_MS));
  }

  async kill(id: SessionId): Promise<Session> {
    const agent = this.#agentOf(id);
    return this.#settled(agent, await agent.callAgain("kill", { id }, OPERATION_TIMEOUT_MS));
  }

  async background(id: SessionId): Promise<number> {
    const agent = this.#agentOf(id);
    const { detached } = await agent.call("background", { id }, QUESTION_TIMEOUT_MS);
    agent.refreshSoon();
    return detached;
  }

  async delete(id: SessionId): Promise<void> {
    if (await this.#orphans.delete(id)) {
      this.#changed();
      return;
    }
    const agent = this.#agentOf(id);
    await agent.callAgain("delete", { id, request_id: randomUUID() }, OPERATION_TIMEOUT_MS);
    agent.forget(id);
    agent.refreshSoon();
  }

  async edit(id: SessionId, change: Omit<OpInput<"edit">, "id">): Promise<Session> {
    const agent = this.#agentOf(id);
    await this.#refuseTakenDnsName(change.dns_name ?? null, id);
    return this.#settled(agent, await agent.callAgain("edit", { ...change, id }, QUESTION_TIMEOUT_MS));
  }

  async clone(id: SessionId, options: Parameters<Cluster["clone"]>[1]): Promise<OpResult<"clone">> {
    const { name, to } = options;
    const agent = this.#agentOf(id);
    const target = to === undefined ? agent : this.#agents.get(to);
    const result =
      target === agent
        ? await agent.callAgain("clone", { id, name, request_id: randomUUID() }, COPY_TIMEOUT_MS)
        : await cloneBetween(id, name, agent, target, options);
    this.#settled(target, result.session);
    return result;
  }

  async move(id: SessionId, to: AgentId, options: TransferOptions = {}): Promise<MoveResult> {
    return await moveBetween(this.#agents, id, to, (sought) => this.#agentOf(sought), options);
  }

  async override(id: SessionId, options: { force?: boolean } = {}): Promise<Session> {
    const agent = this.#agentOf(id);
    return this.#settled(agent, await agent.callAgain("override", { id, ...options }, QUESTION_TIMEOUT_MS));
  }

  async settings(id: AgentId): Promise<OpResult<"settings-get">> {
    return await this.#agents.get(id).callAgain("settings-get", {}, QUESTION_TIMEOUT_MS);
  }

  async changeSettings(id: AgentId, changes: OpInput<"settings-set">["changes"]): Promise<OpResult<"settings-set">> {
    return await this.#agents.get(id).callAgain("settings-set", { changes }, QUESTION_TIMEOUT_MS);
  }

  async capacity(id: AgentId): Promise<Capacity> {
    return await this.#agents.get(id).callAgain("capacity", {}, QUESTION_TIMEOUT_MS);
  }

  async logs(id: SessionId, options: LogOptions = {}): Promise<SessionLogLine[]> {
    const agent = this.#agents.holder(id);
    const lines = await gatherLog(this.#paths.logs, id, agent ?? null, options);
    if (lines) return lines;
    this.#orphans.refuse(id);
    throw notKnown(id);
  }

  async screen(id: SessionId): Promise<string[]> {
    return (await this.#agentOf(id).callAgain("screen", { id, styled: true }, QUESTION_TIMEOUT_MS)).lines;
  }

  async attach(
    id: SessionId,
    terminal: Terminal,
    options: { mode?: "rw" | "ro"; signal?: AbortSignal } = {},
  ): Promise<AttachOutcome> {
    try {
      const agent = this.#agentOf(id);
      const outcome = await attachSession({
        // With the key and address of now: either may have been replaced while the attach was open.
        dial: (dialOptions) => (this.#agents.find(agent.id) ?? agent).dial(dialOptions),
        id,
        where: agent.entry.name,
        terminal,
        mode: options.mode ?? "rw",
        ...(options.signal ? { signal: options.signal } : {}),
      });
      agent.refreshSoon();
      return outcome;
    } catch (thrown) {
      return { kind: "failed", error: thrown instanceof Error ? thrown : new Error(String(thrown)) };
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#announced) clearImmediate(this.#announced);
    this.#listeners.clear();
    await Promise.allSettled([this.#feed[Symbol.asyncDispose](), this.#agents[Symbol.asyncDispose]()]);
  }

  #agentOf(id: SessionId): Agent {
    const holder = this.#agents.holder(id);
    if (holder) return holder;
    this.#orphans.refuse(id);
    throw notKnown(id);
  }

  async #refuseTakenDnsName(name: string | null, own: SessionId | null): Promise<void> {
    if (name === null) return;
    const silent = new Set(
      this.#agents
        .all()
        .filter((agent) => !agent.reachable)
        .map((agent) => agent.id),
    );
    await refuseTakenName({ name, own, sessions: this.sessions(), silent, hostsFile: this.#paths.dnsmasqHosts });
  }

  #settled(agent: Agent, session: Session): Session {
    agent.remember(session);
    agent.refreshSoon();
    return session;
  }

  /** One call per turn of the event loop, however many things changed in it. */
  #changed(): void {
    if (this.#closing) return;
    this.#announced ??= setImmediate(() => {
      this.#announced = null;
      for (const listener of this.#listeners) listener();
    });
  }
}

function notKnown(id: SessionId): ConvocateError {
  return new ConvocateError("SESSION_NOT_FOUND", `no session ${id} is known here: see \`convocate ls\``);
}
