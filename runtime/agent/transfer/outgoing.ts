import type { Duplex } from "node:stream";
import {
  ConvocateError,
  toConvocateError,
  type AgentId,
  type AgentSettings,
  type Portable,
  type SessionId,
} from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { readFirstLine, writeLine } from "../../protocol/ndjson.js";
import { OPS, type OpParams, type OpResult, type StreamParams } from "../../protocol/rpc/ops.js";
import { timestamp, type Clock } from "../clock.js";
import type { Containers } from "../containers/containers.js";
import type { EventSink } from "../events/sink.js";
import type { Homes } from "../sessions/homes.js";
import type { Locks } from "../sessions/locks.js";
import type { Metadata, MetadataStore } from "../sessions/metadata.js";
import { tellDeleted } from "../sessions/remover.js";
import type { Sessions } from "../sessions/sessions.js";
import { walk } from "../trees/tree.js";
import { sendHome } from "./send.js";

/** How long the other agent may take to verify what it got, before `commit`. */
const VERIFY_TIMEOUT_MS = 3_600_000;

export interface OutgoingOptions {
  store: MetadataStore;
  sessions: Sessions;
  homes: Homes;
  containers: Containers;
  locks: Locks;
  events: EventSink;
  owner: Pick<AgentSettings, "uid" | "gid">;
  /** A session's container is gone for good, and nothing that was made for it is needed any more. */
  forget?: (id: SessionId) => Promise<void>;
  clock: Clock;
  log: Log;
  /** How long the peer may do nothing; for tests. */
  stallMs?: number;
}

type ExportResult = OpResult<"export">;

/**
 * The sending side. Until `commit` the channel is the whole of it: when it ends, for whatever reason, the session is as it
 * was, and runs again when it did. `commit` is one write of the metadata, which says `moved` from then on: that is the one
 * truth about where the session is. What is left here goes only when the other agent has shown it.
 */
export class Outgoing {
  readonly #with: OutgoingOptions;
  /** By transfer id. */
  readonly #underWay = new Map<string, { abort: AbortController; ended: Promise<void> }>();

  readonly #starting = new Set<Promise<void>>();

  constructor(options: OutgoingOptions) {
    this.#with = options;
  }

  /** Resolves when nothing is under way and what was stopped for a move that failed runs again. */
  async settled(): Promise<void> {
    await Promise.all([...this.#underWay.values()].map(({ ended }) => ended));
    await Promise.all(this.#starting);
  }

  /** Every phase but `begin` and `commit`, which belong on a channel of their own. */
  async answer(params: OpParams<"export">): Promise<ExportResult> {
    switch (params.phase) {
      case "look":
        return this.#look(params.id);
      case "cancel":
        return this.#cancel(params.id, params.transfer_id);
      case "undo":
        return this.#undo(params.id, params.transfer_id);
      case "forget":
        return this.#forget(params.id, params.transfer_id);
      case "begin":
      case "commit":
        throw new ConvocateError("BAD_REQUEST", `export ${params.phase} needs a channel of its own and no id`);
    }
  }

  async serve(params: StreamParams<"export">, stream: Duplex, gone: AbortSignal): Promise<void> {
    const { sessions, locks } = this.#with;
    const { id, transfer_id, move_to } = params;
    sessions.find(id);
    // A `cancel` must end all there is of a transfer.
    if (this.#underWay.has(transfer_id))
      throw new ConvocateError(
        "SESSION_LOCKED",
        `this transfer of session ${id} is under way already: cancel it first`,
      );
    const abort = new AbortController();
    const signal = AbortSignal.any([gone, abort.signal]);
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    this.#underWay.set(transfer_id, { abort, ended });
    try {
      if (move_to) {
        await locks.run(id, "move", async () => {
          signal.throwIfAborted();
          await this.#move(sessions.find(id), { to: move_to, transfer_id }, stream, signal);
        });
      } else await locks.share(id, "clone", () => this.#send(sessions.find(id), stream, signal, { changing: true }));
    } finally {
      this.#underWay.delete(transfer_id);
      end();
    }
  }

  /**
   * Ends what a crash interrupted: a move that was not committed never was, and what ran before it runs again. One that cannot
   * be seen to keeps no agent from serving the others; the next start tries again.
   */
  async tidy(): Promise<void> {
    const { store, locks, log } = this.#with;
    for (const { id, transfer } of store.all()) {
      if (transfer?.state !== "moving") continue;
      try {
        await locks.run(id, "move", () => store.update(id, { transfer: undefined }));
        log.warn({ session: id, to: transfer.to }, "a move was interrupted: the session stays here");
      } catch (error) {
        log.error(
          { session: id, error: String(error) },
          "a move was interrupted, and it cannot be noted that it stays here",
        );
      }
      if (transfer.was_running) this.#startAgain(id);
    }
  }

  async #look(id: SessionId): Promise<ExportResult> {
    const { store, sessions, containers } = this.#with;
    const session = store.get(id) ?? sessions.find(id);
    const { transfer } = session;
    // One that is not under way is over, also where a full disk kept that from being noted.
    if (transfer?.state === "moving" && this.#underWay.has(transfer.id))
      return { state: "moving", to: transfer.to, transfer_id: transfer.id };
    if (transfer?.state === "moved")
      return { state: "moved", to: transfer.to, transfer_id: transfer.id, was_running: transfer.was_running };
    const [state, { bytes }] = await Promise.all([containers.state(id), walk(this.#with.homes.path(id))]);
    return this.#here(session, state?.running ?? false, bytes);
  }

  async #move(
    session: Metadata,
    { to, transfer_id }: { to: AgentId; transfer_id: string },
    stream: Duplex,
    signal: AbortSignal,
  ): Promise<void> {
    const { store, containers, clock, log } = this.#with;
    const { id } = session;
    const running = (await containers.state(id))?.running ?? false;
    const transfer = { id: transfer_id, to, was_running: running, since: timestamp(clock) } as const;
    const before = session.transfer?.state === "arrived" ? session.transfer : undefined;
    await store.update(id, { transfer: { state: "moving", ...transfer } });
    let committed = false;
    try {
      if (running) await containers.stop(id);
      await this.#send(session, stream, signal, { changing: false });
      await this.#awaitCommit(id, transfer_id, stream, signal);
      await this.#stillSent(id, transfer_id);
      await store.update(id, { transfer: { state: "moved", ...transfer } });
      committed = true;
    } finally {
      if (!committed && store.get(id)?.transfer?.state === "moving") {
        await store
          .update(id, { transfer: before })
          .catch((error: unknown) => log.error({ session: id, error: String(error) }, "cannot note that it stays"));
        if (running) this.#startAgain(id);
      }
    }
    const moved: ExportResult = { state: "moved", to, transfer_id, was_running: running };
    // A client that does not hear it asks.
    await writeLine(stream, { ok: true, result: moved }).catch(() => undefined);
  }

  async #send(
    session: Metadata,
    stream: Duplex,
    signal: AbortSignal,
    { changing }: { changing: boolean },
  ): Promise<void> {
    const { homes, stallMs } = this.#with;
    await homes.check(session.id);
    const hello = (bytes: number): ExportResult => this.#here(session, changing, bytes);
    const waits = { signal, ...(stallMs === undefined ? {} : { stallMs }) };
    await sendHome(stream, homes.path(session.id), hello, { changing, ...waits });
  }

  /** Throws unless the client says, on this channel, that the other agent has all of it. */
  async #awaitCommit(id: SessionId, transferId: string, stream: Duplex, signal: AbortSignal): Promise<void> {
    const line = await readFirstLine(stream, { timeoutMs: VERIFY_TIMEOUT_MS, signal });
    signal.throwIfAborted();
    let params: OpParams<"export"> | undefined;
    try {
      const request = JSON.parse(line) as { op?: unknown; params?: unknown } | null;
      if (request?.op === "export") params = OPS.export.params.parse(request.params);
    } catch {
      // told below
    }
    if (params?.phase !== "commit" || params.id !== id || params.transfer_id !== transferId)
      throw new ConvocateError("BAD_REQUEST", "after an archive only its commit is understood: the session stays here");
  }

  /** Its lock may have been cleared by force meanwhile: what was sent is then not what is here. */
  async #stillSent(id: SessionId, transferId: string): Promise<void> {
    const running = (await this.#with.containers.state(id))?.running ?? false;
    const transfer = this.#with.store.get(id)?.transfer;
    if (!running && transfer?.state === "moving" && transfer.id === transferId) return;
    throw new ConvocateError("SESSION_LOCKED", "its lock was cleared by force while it was sent: it stays here");
  }

  async #cancel(id: SessionId, transferId: string): Promise<ExportResult> {
    const underWay = this.#underWay.get(transferId);
    underWay?.abort.abort(new ConvocateError("INTERRUPTED", "the move was cancelled"));
    await underWay?.ended;
    const session = this.#with.store.get(id);
    if (!session) return { state: "gone" };
    const { transfer } = session;
    if (transfer?.state === "moved" && transfer.id === transferId)
      return { state: "moved", to: transfer.to, transfer_id: transferId, was_running: transfer.was_running };
    return { state: "kept" };
  }

  /** Only for a client that knows that the other agent has nothing of this transfer, and will have nothing. */
  async #undo(id: SessionId, transferId: string): Promise<ExportResult> {
    const { store, locks } = this.#with;
    return await locks.run(id, "move", async () => {
      const transfer = this.#movedBy(id, transferId);
      if (!transfer) return { state: "kept" };
      await store.update(id, { transfer: undefined });
      if (transfer.was_running) this.#startAgain(id);
      return { state: "kept" };
    });
  }

  /** In the order of a delete: a crash on the way leaves what one more `forget` takes away, or nothing. */
  async #forget(id: SessionId, transferId: string): Promise<ExportResult> {
    const { store, locks, containers, homes, events } = this.#with;
    return await locks.run(id, "move", async () => {
      const session = store.get(id);
      if (!session) return { state: "gone" };
      if (!this.#movedBy(id, transferId)) return { state: "kept" };
      await containers.remove(id);
      await this.#with.forget?.(id);
      await homes.setAside(id);
      await store.remove(id);
      tellDeleted(events, session, session.transfer?.state === "moved" ? { moved_to: session.transfer.to } : {});
      await homes.remove(id);
      return { state: "gone" };
    });
  }

  #movedBy(id: SessionId, transferId: string): { was_running: boolean } | null {
    const transfer = this.#with.store.get(id)?.transfer;
    return transfer?.state === "moved" && transfer.id === transferId ? transfer : null;
  }

  #here(session: Metadata, running: boolean, bytes: number): ExportResult {
    return { state: "here", session: portable(session), running, bytes, owner: this.#with.owner };
  }

  /** As soon as the session's lock is free. */
  #startAgain(id: SessionId): void {
    const start = async (): Promise<void> => {
      try {
        await this.#with.sessions.restart(id, false);
      } catch (error) {
        const { code, message } = toConvocateError(error);
        if (code !== "SESSION_RUNNING")
          this.#with.log.error({ session: id, code, error: message }, "it ran before its move and did not start again");
      }
    };
    const starting: Promise<void> = start().finally(() => this.#starting.delete(starting));
    this.#starting.add(starting);
  }
}

function portable(session: Metadata): Portable {
  const { id, name, port, protocol, dns_name, limits, created_at, last_accessed_at, started_before } = session;
  return {
    id,
    name,
    port,
    protocol,
    dns_name,
    public: session.public,
    docker: session.docker,
    limits,
    created_at,
    last_accessed_at,
    started_before,
  };
}
