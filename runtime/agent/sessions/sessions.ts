import {
  ConvocateError,
  toConvocateError,
  type AgentId,
  type LogLine,
  type Session,
  type SessionId,
} from "../../domain/index.js";
import type { OpParams, OpResult } from "../../protocol/rpc/ops.js";
import { timestamp, type Clock } from "../clock.js";
import type { Containers } from "../containers/containers.js";
import type { ContainerState } from "../containers/engine.js";
import type { DockerPulse } from "../containers/pulse.js";
import { containerName } from "../containers/spec.js";
import { QUESTION_PATIENCE_MS } from "../deadlines.js";
import type { EventSink } from "../events/sink.js";
import type { SessionJournal } from "../journal/journal.js";
import { Answers } from "./answers.js";
import { edited, unchanged, wished } from "./edit.js";
import type { Homes } from "./homes.js";
import type { Locks } from "./locks.js";
import { Maker } from "./maker.js";
import type { Metadata, MetadataStore } from "./metadata.js";
import { hereOnly, inRunning, notFound } from "./not-here.js";
import { Remover } from "./remover.js";
import { Reservations } from "./reserve.js";
import { Starter } from "./starter.js";
import { noProbe, type StepProbe } from "./steps.js";
import { sessionView, type ContainerKnowledge, type RunningActivity } from "./view.js";

export interface SessionsOptions {
  agentId: AgentId;
  store: MetadataStore;
  homes: Homes;
  containers: Containers;
  locks: Locks;
  events: EventSink;
  clock: Clock;
  /** How many attaches a session has now. */
  attached: (id: SessionId) => number;
  /** Detaches every client of a running session; answers with how many there were. */
  detachAll: (id: SessionId) => Promise<number>;
  /** This boot of the host (boot/boot-id.ts). */
  boot?: string;
  /** Whether a running session's CLI works or waits; nothing is known of it when left out. */
  activity?: (id: SessionId, startedAt: string) => RunningActivity;
  /** A session's container is gone for good, and nothing that was made for it is needed any more. */
  forget?: (id: SessionId) => Promise<void>;
  journal: Pick<SessionJournal, "read">;
  pulse: DockerPulse;
  /** The host's own, which no session publishes. */
  reservedPorts: readonly number[];
  /** Throws REFUSED while this agent takes no new sessions. */
  refuseNew: () => void;
  step?: StepProbe;
}

/**
 * The operations of SPEC 6.3. Those that change a session run alone on it, and are safe to send again. A `signal` that is
 * aborted before anything was changed keeps it so; afterwards an operation goes on to its end.
 */
export class Sessions {
  readonly #with: SessionsOptions;
  readonly #answers: Answers;
  readonly #reservations: Reservations;
  readonly #starter: Starter;
  readonly #maker: Maker;
  readonly #remover: Remover;
  #logs: Promise<unknown> = Promise.resolve();

  constructor(options: SessionsOptions) {
    this.#with = options;
    const parts = { ...options, step: options.step ?? noProbe };
    this.#answers = new Answers(options.clock);
    this.#reservations = new Reservations(options.store, options.reservedPorts);
    this.#starter = new Starter(parts);
    this.#maker = new Maker({ ...parts, reservations: this.#reservations, starter: this.#starter });
    this.#remover = new Remover(parts);
  }

  /** Every session. Where Docker cannot say, that is each session's state, after QUESTION_PATIENCE_MS at most. */
  async list(): Promise<Session[]> {
    const { store, containers, pulse } = this.#with;
    let knowledge: (id: SessionId) => ContainerKnowledge;
    try {
      const { states, untold } = await pulse.guard("list", QUESTION_PATIENCE_MS, () => containers.all());
      knowledge = (id) => {
        const why = untold.get(id);
        return why ? { error: why.message } : { container: states.get(id) ?? null };
      };
    } catch (error) {
      const message = toConvocateError(error).message;
      knowledge = () => ({ error: message });
    }
    return store.all().map((metadata) => this.#view(metadata, knowledge(metadata.id)));
  }

  /** One of them, as `list` has it. */
  async get(id: SessionId): Promise<Session> {
    const metadata = this.find(id);
    const { containers, pulse } = this.#with;
    try {
      const container = await pulse.guard("get", QUESTION_PATIENCE_MS, () => containers.look(id));
      return this.#view(metadata, { container });
    } catch (error) {
      return this.#view(metadata, { error: toConvocateError(error).message });
    }
  }

  /** Metadata of a session; throws SESSION_NOT_FOUND, and SESSION_MOVED when another agent has it. */
  find(id: SessionId): Metadata {
    const metadata = this.#with.store.get(id);
    if (!metadata) throw notFound(id);
    return hereOnly(metadata);
  }

  /** Makes a session, or gives the one that this request id made before. */
  async create(params: OpParams<"create">, signal?: AbortSignal): Promise<Session> {
    let container: ContainerState | null = null;
    const id = await this.#answers.once(`create ${params.request_id}`, async () => {
      const made = await this.#maker.create(params, signal);
      container = made.container;
      return made.id;
    });
    return await this.#asSeen(id, container);
  }

  async clone(params: OpParams<"clone">, signal?: AbortSignal): Promise<OpResult<"clone">> {
    const { id, skipped } = await this.#answers.once(`clone ${params.id} ${params.request_id}`, () =>
      this.#maker.clone(params, signal),
    );
    return { session: await this.get(id), ...skipped };
  }

  /**
   * Starts a session in a new container of the current image. Throws SESSION_RUNNING unless `force` stops it first, or this
   * very request started it.
   */
  async restart(id: SessionId, force: boolean, requestId?: string, signal?: AbortSignal): Promise<Session> {
    this.find(id);
    let container: ContainerState | null = null;
    const work = async (): Promise<void> => {
      container = await this.#restart(id, force, requestId ?? null, signal);
    };
    if (requestId === undefined) await work();
    else await this.#answers.once(`restart ${id} ${requestId}`, work);
    return await this.#asSeen(id, container);
  }

  /** Stops a session; one that is stopped stays so. */
  async kill(id: SessionId, signal?: AbortSignal): Promise<Session> {
    this.find(id);
    await this.#with.locks.run(id, "kill", async () => {
      this.find(id);
      const state = await this.#with.containers.state(id).catch(untold(id));
      signal?.throwIfAborted();
      // A disk that is full keeps nobody from stopping a session; the error then says what was not noted.
      const noted = await settled(this.#with.store.update(id, { runs_in_boot: null }));
      if (state?.running) await this.#with.containers.stop(id).catch(untold(id));
      // The port of a container that is down is anybody's, where an edit gave the session another one.
      await settled(this.#with.store.update(id, { published: null }));
      if (noted.status === "rejected") throw noted.reason;
    });
    return await this.get(id);
  }

  /** Starts a session that ran when the host went down; nothing happens when it was started or killed since. */
  async startAfterBoot(id: SessionId): Promise<void> {
    await this.#with.locks.run(id, "restart", async () => {
      const { store, containers, boot } = this.#with;
      const session = store.get(id);
      if (!session?.runs_in_boot || session.runs_in_boot === boot) return;
      // Another agent has it, whose word it is now whether it runs.
      if (session.transfer?.state === "moved") return;
      if ((await containers.state(id))?.running) return;
      using admitted = await containers.admit(session);
      await this.#starter.start(session, admitted, null);
    });
  }

  async background(id: SessionId): Promise<number> {
    const { name } = this.find(id);
    return await this.#with.locks.run(id, "background", () => inRunning(name, () => this.#with.detachAll(id)));
  }

  /** What is left out stays; nothing is asked of Docker. */
  async edit(params: OpParams<"edit">): Promise<Session> {
    const { store, locks, events } = this.#with;
    const { id } = params;
    this.find(id);
    await locks.run(id, "edit", async () => {
      const before = this.find(id);
      const { port = before.port } = params;
      // One that it has all the same keeps nobody from changing something else.
      if (port !== before.port) this.#reservations.refuseReserved(port);
      try {
        const after = this.#reservations.claim(id, wished(before, params), (port) => edited(before, params, port));
        if (unchanged(before, after)) return;
        await store.put(after);
        const { name, port, protocol, dns_name } = after;
        events.emit("container.edited", id, { name, port, protocol, dns_name });
      } finally {
        this.#reservations.release(id);
      }
    });
    return await this.get(id);
  }

  /** Again with the same request id, a delete that was done is done. */
  async delete(id: SessionId, requestId?: string, signal?: AbortSignal): Promise<void> {
    const work = (): Promise<void> => this.#remover.delete(id, signal);
    if (requestId === undefined) await work();
    else await this.#answers.once(`delete ${id} ${requestId}`, work);
  }

  /** Clears a stale lock, a live one by force; what was interrupted is taken back. Nothing when there is no lock. */
  async override({ id, force }: OpParams<"override">): Promise<Session> {
    const { locks, homes, store } = this.#with;
    const transfer = store.get(id)?.transfer;
    if (transfer?.state === "moved" && force) {
      // For an agent that is gone for good: nobody else can say that it has not got the session.
      await locks.run(id, "move", () => store.update(id, { transfer: undefined }));
      return await this.get(id);
    }
    this.find(id);
    await locks.clear(id, force, async (operation) => {
      if (operation === "delete") await homes.bringBack(id);
      // A move that goes on all the same finds that it may not commit.
      if (operation === "move") await store.update(id, { transfer: undefined });
    });
    return await this.get(id);
  }

  /** One session's log at a time: an answer may be some MiB. */
  async logs({ id, lines, after }: OpParams<"logs">): Promise<LogLine[]> {
    this.find(id);
    const mine = this.#logs.then(() => this.#with.journal.read(id, { lines, after: after ?? null }));
    this.#logs = mine.catch(() => undefined);
    return await mine;
  }

  /**
   * Holds port and DNS name for a session that another agent sends, until `release`; -1 becomes a port here. Throws
   * PORT_TAKEN, DNS_NAME_TAKEN. One step: nothing waits in here.
   */
  hold(session: Metadata): Metadata {
    return this.#reservations.claim(session.id, session, (port) => ({ ...session, port }));
  }

  /** The port that `hold` would give now; throws as it does, also PORT_TAKEN for one of the host's own, and holds nothing. */
  wouldHold(session: Metadata): number {
    this.#reservations.refuseReserved(session.port);
    return this.#reservations.choose(session.id, session);
  }

  release(id: SessionId): void {
    this.#reservations.release(id);
  }

  /** Notes that somebody attached. */
  async touch(id: SessionId): Promise<void> {
    await this.#with.store.update(id, { last_accessed_at: timestamp(this.#with.clock) });
  }

  /** A session whose container was seen just now, if it was: a host that starts a CLI is slow to be asked once more. */
  async #asSeen(id: SessionId, container: ContainerState | null): Promise<Session> {
    return container ? this.#view(this.find(id), { container }) : await this.get(id);
  }

  async #restart(
    id: SessionId,
    force: boolean,
    requestId: string | null,
    signal?: AbortSignal,
  ): Promise<ContainerState | null> {
    const { containers, locks } = this.#with;
    return await locks.run(id, "restart", async () => {
      const session = this.find(id);
      // Asked first: a Docker that does not answer is found out before anything is done. By force, one container that it
      // cannot tell of is replaced all the same.
      const state = await containers.state(id).catch((error: unknown) => {
        if (!force) throw error;
        return null;
      });
      if (state?.running) {
        if (requestId !== null && session.restarted_by === requestId) return null;
        if (!force) {
          throw new ConvocateError(
            "SESSION_RUNNING",
            `session ${session.name} is running: attach to it, or restart it with --force`,
          );
        }
      }
      // Before anything is stopped: a start that cannot succeed must not cost a running session.
      using admitted = await containers.admit(session);
      signal?.throwIfAborted();
      if (state?.running) {
        // The start will write metadata, too: a disk that is full is found out now.
        await this.touch(id);
        await containers.stop(id);
      }
      return await this.#starter.start(session, admitted, requestId);
    });
  }

  #view(metadata: Metadata, known: ContainerKnowledge): Session {
    const { agentId, locks, attached, activity } = this.#with;
    return sessionView(agentId, metadata, known, locks.holder(metadata.id), attached(metadata.id), activity);
  }
}

/** A shim that hangs makes Docker wait for ever, with `docker kill` and `docker rm --force`, too. */
function untold(id: SessionId): (error: unknown) => never {
  return (error) => {
    const { code, message } = toConvocateError(error);
    if (code !== "TIMEOUT") throw error;
    throw new ConvocateError(
      code,
      `${message}; should it be the containerd-shim of this session that hangs, end both on this host: ` +
        `\`docker ps --no-trunc --filter name=${containerName(id)}\` has its CONTAINER ID, and ` +
        `\`pkill -KILL -f "containerd-shim.* -id CONTAINER_ID"\` does it`,
      { cause: error },
    );
  };
}

async function settled(work: Promise<void>): Promise<PromiseSettledResult<void>> {
  const [outcome] = await Promise.allSettled([work]);
  return outcome;
}
