import { SessionId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import type { Clock } from "../clock.js";
import type { Containers } from "../containers/containers.js";
import { QUICK_MS } from "../containers/docker-errors.js";
import type { ContainerEvent, ContainerState, DockerEngine } from "../containers/engine.js";
import { containerName } from "../containers/spec.js";
import { followDocker } from "./follow.js";
import type { Observed, Spool } from "./spool.js";

/** One report in this time for each container; its row says how often it happened. */
const OOM_EVERY_MS = 10_000;
/**
 * Until a start is reported, which writes to disk, the log and the shell: whoever asked for it is answered first, on a host whose
 * processors the session's CLI has just taken.
 */
const ANSWER_FIRST_MS = 20;
/** Until what Docker could not tell of is asked for again. */
const ASK_AGAIN_MS = 30_000;
/** A container that ends this soon after it was sent SIGTERM was stopped. */
const STOPPING_MS = 60_000;

/**
 * Turns what Docker tells of sessions' containers into events. After each gap (start of the agent, restart of dockerd) it
 * compares what is with what was last reported, so a change is reported once, however it came to be known.
 */
export class DockerWatch implements AsyncDisposable {
  readonly #docker: DockerEngine;
  readonly #containers: Containers;
  readonly #spool: Spool;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #onEnd: (id: SessionId) => void;
  readonly #stop = new AbortController();
  readonly #stopping = new Map<string, number>();
  /** When a container was last reported as out of memory. */
  readonly #lastOom = new Map<string, number>();
  #observed = new Map<string, Observed>();
  /** How often Docker's stream was opened. */
  #gaps = 0;
  /** Of which Docker told something since the last look at all. */
  readonly #heardOf = new Set<SessionId>();
  #done: Promise<void> = Promise.resolve();

  constructor(options: {
    docker: DockerEngine;
    containers: Containers;
    spool: Spool;
    clock: Clock;
    log: Log;
    /** A session's container ended, however that came to be known. */
    onEnd?: (id: SessionId) => void;
  }) {
    this.#docker = options.docker;
    this.#containers = options.containers;
    this.#spool = options.spool;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#onEnd = options.onEnd ?? (() => undefined);
  }

  start(): void {
    this.#observed = this.#spool.observed();
    this.#done = followDocker({
      what: "containers",
      events: (signal, onOpen) => this.#docker.events(signal, onOpen),
      onOpen: () => {
        this.#containers.watched(true);
        this.#gaps += 1;
        return this.#compareAll();
      },
      onEvent: (event) => this.#heard(event),
      onClose: () => this.#containers.watched(false),
      clock: this.#clock,
      log: this.#log,
      signal: this.#stop.signal,
    });
  }

  /** Sessions whose containers run, as last seen. */
  get running(): number {
    let count = 0;
    for (const one of this.#observed.values()) if (one.running) count += 1;
    return count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #compareAll(): Promise<void> {
    const untold = await this.#compare(() => true);
    if (untold.size > 0) void this.#compareLater(untold);
  }

  /** Compares those sessions; answers with those that Docker could not tell of. */
  async #compare(of: (id: SessionId) => boolean): Promise<Set<SessionId>> {
    this.#heardOf.clear();
    const { states, untold } = await this.#containers.all(QUICK_MS);
    for (const id of new Set([...this.#observed.keys(), ...states.keys()])) {
      const session = SessionId.safeParse(id).data;
      if (session && of(session) && !untold.has(session)) this.#reconcile(session, states.get(session) ?? null);
    }
    return new Set(untold.keys());
  }

  /** One container that Docker cannot tell of holds up no other's events: what became of it is looked for later. */
  async #compareLater(untold: ReadonlySet<SessionId>): Promise<void> {
    const { signal } = this.#stop;
    const gap = this.#gaps;
    for (let left = untold; left.size > 0;) {
      await this.#clock.sleep(ASK_AGAIN_MS, signal).catch(() => undefined);
      // After a gap all were compared anew.
      if (signal.aborted || this.#gaps !== gap) return;
      const before = left;
      try {
        left = await this.#compare((id) => !signal.aborted && before.has(id) && !this.#heardOf.has(id));
      } catch {
        // Docker is gone: a gap.
      }
    }
  }

  /** Reports what changed since the last report, as far as it can still be known. */
  #reconcile(id: SessionId, now: ContainerState | null): void {
    const before = this.#observed.get(id);
    const sameRun = before?.containerId === now?.id && before?.startedAt === now?.startedAt;
    if (before?.running && !(sameRun && now?.running)) this.#ended(id, sameRun ? now : null, before);
    if (!now) return this.#forget(id);
    const startedUnseen = now.startedAt !== null && !sameRun && (now.running || before !== undefined);
    if (startedUnseen) {
      this.#started(id, now);
      if (!now.running) this.#ended(id, now, observe(now));
    }
    if (!this.#observed.has(id) || !startedUnseen) this.#keep(id, observe(now));
  }

  async #heard(event: ContainerEvent): Promise<void> {
    const parsed = SessionId.safeParse(event.session);
    if (!parsed.success) return;
    const id = parsed.data;
    this.#heardOf.add(id);
    this.#containers.changed(id);
    const before = this.#observed.get(id);
    const same = before?.containerId === event.containerId;
    switch (event.action) {
      case "start": {
        if (same && before.running) return;
        await this.#clock.sleep(ANSWER_FIRST_MS, this.#stop.signal).catch(() => undefined);
        const state = await this.#inspect(id, event);
        const startedAt = state?.startedAt ?? new Date(event.atMs).toISOString();
        this.#report(
          "container.started",
          id,
          { image: event.image },
          { containerId: event.containerId, running: true, startedAt },
        );
        return;
      }
      case "kill":
        if (event.signal === "15" || event.signal === "SIGTERM") this.#stopping.set(event.containerId, event.atMs);
        return;
      case "oom":
        this.#containers.outOfMemory(event.containerId);
        // A process that is started again and killed again must not push other sessions' events out of the spool.
        if (Math.abs(event.atMs - (this.#lastOom.get(event.containerId) ?? 0)) < OOM_EVERY_MS) return;
        this.#lastOom.set(event.containerId, event.atMs);
        this.#report("container.oom", id, {}, before ?? null);
        return;
      case "die": {
        // One that ended before the run that was last seen to begin is told of already, if that run goes on: where it does
        // not, the clock was set back.
        if (same && !before.running) return;
        if (same && event.atMs < Date.parse(before.startedAt ?? "") && (await this.#runs(id, event.containerId)))
          return;
        const state = await this.#inspect(id, event);
        const askedAt = this.#stopping.get(event.containerId);
        const asked = askedAt !== undefined && event.atMs - askedAt < STOPPING_MS;
        this.#stopping.delete(event.containerId);
        this.#end(id, event.exitCode, state?.oomKilled ?? false, asked, {
          containerId: event.containerId,
          running: false,
          startedAt: before?.startedAt ?? state?.startedAt ?? null,
        });
        return;
      }
      case "destroy":
        this.#stopping.delete(event.containerId);
        this.#lastOom.delete(event.containerId);
        if (same) this.#forget(id);
        return;
      default:
    }
  }

  #started(id: SessionId, now: ContainerState): void {
    this.#report("container.started", id, { image: now.image }, { ...observe(now), running: true });
  }

  #ended(id: SessionId, now: ContainerState | null, before: Observed): void {
    if (now?.oomKilled) this.#report("container.oom", id, {}, before);
    this.#end(id, now?.exitCode ?? null, now?.oomKilled ?? false, false, { ...before, running: false });
  }

  #end(id: SessionId, exitCode: number | null, oomKilled: boolean, asked: boolean, observed: Observed): void {
    const type = asked || exitCode === 0 ? "container.stopped" : "container.died";
    this.#report(type, id, { exit_code: exitCode, oom_killed: oomKilled }, observed);
    this.#onEnd(id);
  }

  #report(
    type: "container.started" | "container.stopped" | "container.died" | "container.oom",
    id: SessionId,
    data: Record<string, unknown>,
    observed: Observed | null,
  ): void {
    if (observed) this.#observed.set(id, observed);
    this.#spool.append(type, id, data, observed);
  }

  #keep(id: SessionId, observed: Observed): void {
    const before = this.#observed.get(id);
    if (
      before?.containerId === observed.containerId &&
      before.running === observed.running &&
      before.startedAt === observed.startedAt
    )
      return;
    this.#observed.set(id, observed);
    this.#spool.observe(id, observed);
  }

  #forget(id: SessionId): void {
    if (!this.#observed.delete(id)) return;
    this.#spool.observe(id, null);
  }

  async #runs(id: SessionId, containerId: string): Promise<boolean> {
    const state = await this.#docker.inspect(containerName(id)).catch(() => null);
    return state?.id === containerId && state.running;
  }

  /** The container of the event in the run that the event is of; null when another has taken its place by now. */
  async #inspect(id: SessionId, event: ContainerEvent): Promise<ContainerState | null> {
    const state = await this.#docker.inspect(containerName(id)).catch(() => null);
    const same = state?.id === event.containerId && Date.parse(state.startedAt ?? "") <= event.atMs;
    return same ? state : null;
  }
}

function observe(state: ContainerState): Observed {
  return { containerId: state.id, running: state.running, startedAt: state.startedAt };
}
