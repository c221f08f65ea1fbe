import { ConvocateError, newSessionId, toConvocateError, type AgentId, type SessionId } from "../../domain/index.js";
import type { OpParams } from "../../protocol/rpc/ops.js";
import { timestamp, type Clock } from "../clock.js";
import type { Admitted, Containers } from "../containers/containers.js";
import type { ContainerState } from "../containers/engine.js";
import type { EventSink } from "../events/sink.js";
import { skippedFiles, walk, type SkippedFiles } from "../trees/tree.js";
import { allOf } from "./all-of.js";
import type { Homes } from "./homes.js";
import type { Locks } from "./locks.js";
import type { Metadata, MetadataStore } from "./metadata.js";
import { hereOnly, notFound } from "./not-here.js";
import type { Reservations } from "./reserve.js";
import type { Starter } from "./starter.js";
import type { StepProbe } from "./steps.js";

export interface MakerParts {
  store: MetadataStore;
  homes: Homes;
  containers: Containers;
  locks: Locks;
  events: EventSink;
  clock: Clock;
  reservations: Reservations;
  starter: Starter;
  /** Throws REFUSED while this agent takes no new sessions. */
  refuseNew: () => void;
  step: StepProbe;
}

export interface Made {
  id: SessionId;
  container: ContainerState | null;
}

/**
 * Makes sessions, new ones and copies: home in waiting, metadata, home in place. What a crash leaves between two of these is
 * finished or removed by `recover` at the next start, and the same request again gives the session.
 */
export class Maker {
  readonly #with: MakerParts;

  constructor(parts: MakerParts) {
    this.#with = parts;
  }

  /** A new session, or the one that this request made before; and its container, where one was started now and seen to run. */
  async create(params: OpParams<"create">, signal?: AbortSignal): Promise<Made> {
    const { homes, containers, locks, starter, step } = this.#with;
    const before = this.#madeBy(params.request_id);
    if (before) {
      // The first attempt may have been cut off between making and starting.
      if (params.start && !before.started_before) {
        await locks.run(before.id, "create", () => starter.startUnlessRunning(before.id));
      }
      return { id: before.id, container: null };
    }
    const { port, protocol, dns_name } = params;
    const id = newSessionId();
    const make = fresh(id, params, timestamp(this.#with.clock));
    const container = await this.#claimed(id, { port, protocol, dns_name }, make, (session) =>
      locks.run(id, "create", async () => {
        using leave = new DisposableStack();
        const admit = async (): Promise<Admitted | null> =>
          params.start ? leave.use(await containers.admit(session)) : null;
        const admitted = await this.#make(session, async () => {
          // Side by side, since leave to start waits for Docker. What cannot start is not made.
          const [given] = await allOf([admit(), homes.prepare(id)]);
          signal?.throwIfAborted();
          return given;
        });
        const tell = this.#teller(session);
        try {
          return admitted && (await this.#startNew(session, admitted, tell));
        } finally {
          tell();
          await step("told");
        }
      }),
    );
    return { id, container };
  }

  /** A copy under a new id, with port 0 and no DNS name, or the one that this request made before. */
  async clone(
    { id: from, request_id, name }: OpParams<"clone">,
    signal?: AbortSignal,
  ): Promise<{ id: SessionId; skipped: SkippedFiles }> {
    const { store, homes, locks, clock, step } = this.#with;
    const before = this.#madeBy(request_id);
    if (before) {
      const skipped = await walk(homes.path(from), signal).then(skippedFiles, () => nothingSkipped);
      return { id: before.id, skipped };
    }
    return await locks.share(from, "clone", async () => {
      const source = store.get(from);
      if (!source) throw notFound(from);
      const id = newSessionId();
      const make = copyOf(hereOnly(source), { id, name, request_id }, timestamp(clock));
      const wish = { port: 0, protocol: source.protocol, dns_name: null };
      const skipped = await this.#claimed(id, wish, make, (session) =>
        locks.run(id, "clone", async () => {
          const copied = await this.#make(session, () => homes.prepareCopy(from, id, signal));
          this.#teller(session)();
          await step("told");
          return copied;
        }),
      );
      return { id, skipped };
    });
  }

  #madeBy(requestId: string): Metadata | undefined {
    return this.#with.store.all().find((one) => one.request_id === requestId);
  }

  async #claimed<T>(
    id: SessionId,
    wish: Parameters<Reservations["claim"]>[1],
    make: (port: number) => Metadata,
    work: (session: Metadata) => Promise<T>,
  ): Promise<T> {
    const { reservations, refuseNew } = this.#with;
    refuseNew();
    reservations.refuseReserved(wish.port);
    const session = reservations.claim(id, wish, make);
    try {
      return await work(session);
    } finally {
      reservations.release(id);
    }
  }

  /** Answers with what `prepare` does, which makes the home in waiting. */
  async #make<T>(session: Metadata, prepare: () => Promise<T>): Promise<T> {
    const { store, homes, step } = this.#with;
    let prepared: T;
    await step("locked");
    try {
      prepared = await prepare();
      await step("home prepared");
      await store.put(session);
    } catch (error) {
      await homes.discard(session.id);
      throw error;
    }
    try {
      await step("metadata written");
      await homes.settle(session.id);
    } catch (error) {
      await store.remove(session.id);
      await homes.discard(session.id);
      throw error;
    }
    await step("home in place");
    return prepared;
  }

  /** Tells of the new session, once. */
  #teller(session: Metadata): () => void {
    let told = false;
    return () => {
      if (!told) tellCreated(this.#with.events, session);
      told = true;
    };
  }

  /** `meanwhile` is called while Docker starts it, unless it fails before. */
  async #startNew(session: Metadata, admitted: Admitted, meanwhile: () => void): Promise<ContainerState | null> {
    try {
      return await this.#with.starter.start(session, admitted, null, meanwhile);
    } catch (error) {
      const cause = toConvocateError(error);
      throw new ConvocateError(
        cause.code,
        `session ${session.name} (${session.id}) was made but did not start: ${cause.message}`,
        { cause },
      );
    }
  }
}

const nothingSkipped: SkippedFiles = { skipped: [], skipped_total: 0 };

export function tellCreated(
  events: EventSink,
  { id, name, port, protocol, dns_name }: Metadata,
  how: { from_agent?: AgentId } = {},
): void {
  events.emit("container.created", id, { name, port, protocol, dns_name, ...how });
}

function fresh(id: SessionId, params: OpParams<"create">, now: string): (port: number) => Metadata {
  return (port) => ({
    id,
    name: params.name,
    port,
    protocol: params.protocol,
    dns_name: params.dns_name,
    public: params.public,
    docker: params.docker,
    restart_to_apply: false,
    limits: params.limits,
    created_at: now,
    last_accessed_at: now,
    request_id: params.request_id,
    started_before: false,
  });
}

/** Named one by one: what is new about a session belongs to that session until somebody decides otherwise. */
function copyOf(
  source: Metadata,
  own: Pick<Metadata, "id" | "name" | "request_id">,
  now: string,
): (port: number) => Metadata {
  return (port) => ({
    ...own,
    port,
    protocol: source.protocol,
    dns_name: null,
    public: false,
    docker: source.docker,
    restart_to_apply: false,
    limits: source.limits,
    created_at: now,
    last_accessed_at: now,
    // The conversation was copied, too.
    started_before: source.started_before,
  });
}
