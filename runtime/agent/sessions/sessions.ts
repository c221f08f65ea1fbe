import {
  ConvocateError,
  newSessionId,
  toConvocateError,
  type AgentId,
  type Session,
  type SessionId,
} from "../../domain/index.js";
import type { OpParams } from "../../protocol/rpc/ops.js";
import { timestamp, type Clock } from "../clock.js";
import type { Admitted, Containers } from "../containers/containers.js";
import type { EventSink } from "../events/sink.js";
import type { Homes } from "./homes.js";
import type { Locks } from "./locks.js";
import type { Metadata, MetadataStore } from "./metadata.js";
import { choosePort } from "./ports.js";
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
}

/** The operations of SPEC 6.3. Those that change a session run alone on it. */
export class Sessions {
  readonly #with: SessionsOptions;
  /** Creates under way by request id: the same request again joins the first. */
  readonly #creating = new Map<string, Promise<Session>>();
  /** Promised to creates under way, which have no metadata yet. */
  readonly #reserved = new Map<SessionId, Metadata>();

  constructor(options: SessionsOptions) {
    this.#with = options;
  }

  async list(): Promise<Session[]> {
    const { store, containers } = this.#with;
    let knowledge: (id: SessionId) => ContainerKnowledge;
    try {
      const states = await containers.all();
      knowledge = (id) => ({ container: states.get(id) ?? null });
    } catch (error) {
      const message = toConvocateError(error).message;
      knowledge = () => ({ error: message });
    }
    return store.all().map((metadata) => this.#view(metadata, knowledge(metadata.id)));
  }

  async get(id: SessionId): Promise<Session> {
    const metadata = this.find(id);
    try {
      return this.#view(metadata, { container: await this.#with.containers.state(id) });
    } catch (error) {
      return this.#view(metadata, { error: toConvocateError(error).message });
    }
  }

  /** Metadata of a session; throws SESSION_NOT_FOUND, and SESSION_MOVED when another agent has it. */
  find(id: SessionId): Metadata {
    const metadata = this.#with.store.get(id);
    if (metadata?.transfer?.state === "moved") {
      throw new ConvocateError(
        "SESSION_MOVED",
        `session ${metadata.name} (${id}) moved to agent ${metadata.transfer.to}, which was not confirmed yet: ` +
          `finish it with \`convocate move ${id} --to ${metadata.transfer.to}\``,
      );
    }
    if (metadata) return metadata;
    throw new ConvocateError(
      "SESSION_NOT_FOUND",
      `this agent has no session ${id}: \`convocate ls\` shows those there are`,
    );
  }

  /** Makes a session, or gives the one that this request id made before. */
  async create(params: OpParams<"create">): Promise<Session> {
    const underWay = this.#creating.get(params.request_id);
    if (underWay) return underWay;
    const mine = this.#create(params);
    this.#creating.set(params.request_id, mine);
    try {
      return await mine;
    } finally {
      this.#creating.delete(params.request_id);
    }
  }

  /** Starts a session in a new container of the current image. Throws SESSION_RUNNING unless `force` stops it first. */
  async restart(id: SessionId, force: boolean): Promise<Session> {
    this.find(id);
    await this.#with.locks.run(id, "restart", async () => {
      const { containers } = this.#with;
      const session = this.find(id);
      const state = await containers.state(id);
      if (state?.running && !force) {
        throw new ConvocateError(
          "SESSION_RUNNING",
          `session ${session.name} is running: attach to it, or restart it with --force`,
        );
      }
      // Before anything is stopped: a start that cannot succeed must not cost a running session.
      using admitted = await containers.admit(session);
      if (state?.running) await containers.stop(id);
      await this.#start(session, admitted);
    });
    return this.get(id);
  }

  /** Stops a session; one that is stopped stays so. */
  async kill(id: SessionId): Promise<Session> {
    this.find(id);
    await this.#with.locks.run(id, "kill", async () => {
      this.find(id);
      await this.#with.store.update(id, { runs_in_boot: null });
      await this.#with.containers.stop(id);
    });
    return this.get(id);
  }

  /** Starts a session that ran when the host went down; nothing happens when it was started or killed since. */
  async startAfterBoot(id: SessionId): Promise<void> {
    await this.#with.locks.run(id, "restart", async () => {
      const { store, containers, boot } = this.#with;
      const session = store.get(id);
      if (!session?.runs_in_boot || session.runs_in_boot === boot) return;
      if ((await containers.state(id))?.running) return;
      using admitted = await containers.admit(session);
      await this.#start(session, admitted);
    });
  }

  async background(id: SessionId): Promise<number> {
    this.find(id);
    return this.#with.locks.run(id, "background", () => this.#with.detachAll(id));
  }

  /** Container, home, metadata, in this order: a crash on the way leaves a session that is listed and can be deleted again. */
  async delete(id: SessionId): Promise<void> {
    this.find(id);
    await this.#with.locks.run(id, "delete", async () => {
      const { containers, homes, store, events, forget } = this.#with;
      const session = this.find(id);
      await containers.stop(id);
      await containers.remove(id);
      await forget?.(id);
      await homes.remove(id);
      await store.remove(id);
      events.emit("container.deleted", id, { name: session.name, dns_name: session.dns_name });
    });
  }

  /**
   * Holds port and DNS name for a session that another agent sends, until `release`; -1 becomes a port here. Throws
   * PORT_TAKEN, DNS_NAME_TAKEN. One step: nothing waits in here.
   */
  hold(session: Metadata): Metadata {
    const held = { ...session, ...this.#free(session) };
    this.#reserved.set(session.id, held);
    return held;
  }

  release(id: SessionId): void {
    this.#reserved.delete(id);
  }

  /** Notes that somebody attached. */
  async touch(id: SessionId): Promise<void> {
    await this.#with.store.update(id, { last_accessed_at: timestamp(this.#with.clock) });
  }

  async #create(params: OpParams<"create">): Promise<Session> {
    const { store, containers, locks } = this.#with;
    const before = store.all().find((one) => one.request_id === params.request_id);
    if (before) {
      // The first attempt may have been cut off between making and starting.
      if (params.start && !before.started_before) {
        await locks.run(before.id, "create", async () => {
          const session = this.find(before.id);
          if (session.started_before) return;
          using admitted = await containers.admit(session);
          await this.#start(session, admitted);
        });
      }
      return this.get(before.id);
    }
    const session = this.#reserve(params);
    try {
      // Asked first, so that what cannot start is not made.
      using admitted = params.start ? await containers.admit(session) : null;
      await locks.run(session.id, "create", async () => {
        await this.#make(session);
        if (admitted) await this.#start(session, admitted);
      });
    } catch (error) {
      if (!store.get(session.id)) throw error;
      const cause = toConvocateError(error);
      throw new ConvocateError(
        cause.code,
        `session ${session.name} (${session.id}) was made but did not start: ${cause.message}`,
        { cause },
      );
    } finally {
      this.#reserved.delete(session.id);
    }
    return this.get(session.id);
  }

  /** Checks and reserves port and DNS name in one step: nothing waits in here. */
  #reserve(params: OpParams<"create">): Metadata {
    const { clock } = this.#with;
    const { port } = this.#free(params);
    const now = timestamp(clock);
    const session: Metadata = {
      id: newSessionId(),
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
    };
    this.#reserved.set(session.id, session);
    return session;
  }

  /** The port, chosen where it is -1, of what nobody else here has. Throws PORT_TAKEN, DNS_NAME_TAKEN. */
  #free(wanted: Pick<Metadata, "port" | "protocol" | "dns_name"> & { id?: SessionId }): { port: number } {
    const others = [...this.#with.store.all(), ...this.#reserved.values()].filter(({ id }) => id !== wanted.id);
    const port = choosePort(wanted.port, wanted.protocol, others);
    const holder = wanted.dns_name === null ? undefined : others.find((one) => one.dns_name === wanted.dns_name);
    if (holder) {
      throw new ConvocateError(
        "DNS_NAME_TAKEN",
        `the DNS name ${wanted.dns_name ?? ""} belongs to session ${holder.name} (${holder.id}): choose another`,
      );
    }
    return { port };
  }

  async #make(session: Metadata): Promise<void> {
    const { store, homes, events } = this.#with;
    try {
      await homes.prepare(session.id);
      await store.put(session);
    } catch (error) {
      await homes.discard(session.id);
      throw error;
    }
    await homes.settle(session.id);
    const { name, port, protocol, dns_name } = session;
    events.emit("container.created", session.id, { name, port, protocol, dns_name });
  }

  async #start(session: Metadata, admitted: Admitted): Promise<void> {
    const { store, containers, clock, boot = null } = this.#with;
    const before = session.runs_in_boot ?? null;
    // Before it runs: an agent that dies in between finds it not running in this boot, and takes that for its end.
    await store.update(session.id, { runs_in_boot: boot });
    try {
      await containers.start(session, admitted);
    } catch (error) {
      await store.update(session.id, { runs_in_boot: before }).catch(() => undefined);
      throw error;
    }
    await store.update(session.id, { started_before: true, last_accessed_at: timestamp(clock) });
  }

  #view(metadata: Metadata, known: ContainerKnowledge): Session {
    const { agentId, locks, attached, activity } = this.#with;
    return sessionView(agentId, metadata, known, locks.holder(metadata.id), attached(metadata.id), activity);
  }
}
