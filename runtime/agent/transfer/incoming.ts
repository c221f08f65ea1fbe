import type { Duplex } from "node:stream";
import { dirname } from "node:path";
import { ConvocateError, type AgentSettings, type Portable, type Session, type SessionId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { writeLine } from "../../protocol/ndjson.js";
import type { OpParams, OpResult, StreamParams } from "../../protocol/rpc/ops.js";
import { timestamp, type Clock } from "../clock.js";
import type { EventSink } from "../events/sink.js";
import type { Homes } from "../sessions/homes.js";
import type { Locks } from "../sessions/locks.js";
import { tellCreated } from "../sessions/maker.js";
import type { Metadata, MetadataStore } from "../sessions/metadata.js";
import type { Sessions } from "../sessions/sessions.js";
import { receiveEntries } from "./flow.js";
import { idOf, type TransferRecords } from "./records.js";
import { refuseFull } from "../trees/room.js";
import { skippedFiles, treeDigest, walk } from "../trees/tree.js";

/** Left free on the file system beyond what a home takes, for everybody else on it. */
/** What waits longer than that was forgotten by its client. The sender still has all of it. */
const WAITING_MS = 24 * 3_600_000;

export interface IncomingOptions {
  store: MetadataStore;
  records: TransferRecords;
  sessions: Sessions;
  homes: Homes;
  locks: Locks;
  events: EventSink;
  owner: Pick<AgentSettings, "uid" | "gid">;
  /** Throws REFUSED while this agent takes no new sessions. */
  refuseNew: () => void;
  /** Throws ADMISSION_DENIED when this session could not be started here. */
  admit: (session: Metadata) => Promise<void>;
  /** Makes what was written below this folder last through a power cut. */
  sync: (folder: string, signal: AbortSignal) => Promise<void>;
  clock: Clock;
  log: Log;
  /** How long the peer may do nothing; for tests. */
  stallMs?: number;
}

type ImportResult = OpResult<"import">;

/**
 * The receiving side. A session that comes is hidden until `activate`: its home lies beside its place, its metadata in a
 * record. Nothing is lost by discarding it, since the sender keeps all of it until it was told that the session is here.
 */
export class Incoming {
  readonly #with: IncomingOptions;
  readonly #underWay = new Map<SessionId, { transferId: string; abort: AbortController; ended: Promise<void> }>();

  constructor(options: IncomingOptions) {
    this.#with = options;
  }

  async answer(params: OpParams<"import">): Promise<ImportResult> {
    switch (params.phase) {
      case "check":
        return this.#check(params);
      case "activate":
        return this.#activate(params.id, params.transfer_id);
      case "discard":
        return this.#discard(params.id, params.transfer_id);
      case "settle":
        return this.#settle(params.id, params.transfer_id);
      case "begin":
        throw new ConvocateError("BAD_REQUEST", "import begin needs a channel of its own and no id");
    }
  }

  /** A later transfer of a session takes the place of an earlier one: its sender has begun anew, so the earlier one is over. */
  async serve(params: StreamParams<"import">, stream: Duplex, gone: AbortSignal): Promise<void> {
    const { id } = params.session;
    await this.#end(id);
    const abort = new AbortController();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const mine = { transferId: params.transfer_id, abort, ended };
    if (this.#underWay.has(id)) throw new ConvocateError("SESSION_LOCKED", `session ${id} is being received already`);
    this.#underWay.set(id, mine);
    try {
      await this.#receive(params, stream, AbortSignal.any([gone, abort.signal]));
    } finally {
      this.#underWay.delete(id);
      end();
    }
  }

  /**
   * Finishes what a crash interrupted after `activate`, and removes what has no record or waits for too long. One that cannot
   * be seen to keeps no agent from serving the others, and what is only removed is not waited for: it may be big.
   */
  async tidy(): Promise<void> {
    const { store, records, sessions, homes, log } = this.#with;
    const failed = (id: SessionId, what: string) => (error: unknown) =>
      log.error({ session: id, error: String(error) }, what);
    await records.tidy();
    for (const id of await homes.allIncoming()) {
      if (records.get(id)?.state === "waiting") continue;
      homes
        .refuse(id)
        .then(
          () => log.warn({ session: id }, "removed what an interrupted move left"),
          failed(id, "cannot remove what an interrupted move left"),
        );
    }
    for (const record of records.all()) {
      if (record.state !== "waiting") continue;
      const { id } = record.session;
      try {
        if (arrivedBy(store.get(id), record.transfer_id)) await this.#accept(id, record.transfer_id);
        else sessions.hold(record.session);
      } catch (error) {
        failed(id, "cannot see to a session that another agent sent")(error);
      }
    }
    void this.expire();
  }

  /** Discards what has waited for a day; to be called now and then. Never rejects. */
  async expire(): Promise<void> {
    const { records, clock, log } = this.#with;
    for (const record of records.all()) {
      if (record.state !== "waiting" || clock.now() - Date.parse(record.since) < WAITING_MS) continue;
      const session = idOf(record);
      try {
        await this.#discard(session, record.transfer_id);
        log.warn({ session }, "discarded a session that was sent here and never asked for");
      } catch (error) {
        log.error({ session, error: String(error) }, "cannot discard what has waited for too long");
      }
    }
  }

  /** Everything that can be refused is refused here, before anything is stopped or sent. */
  async #check(params: OpParams<"import"> & { phase: "check" }): Promise<ImportResult> {
    const session = this.#metadata(params.session, "");
    this.#refuseTaken(session.id);
    this.#with.refuseNew();
    const held = { ...session, port: this.#with.sessions.wouldHold(session) };
    this.#refuseOwner(params.owner);
    await refuseFull(dirname(this.#with.homes.path(session.id)), params.bytes);
    if (params.start) await this.#with.admit(held);
    return { state: "absent" };
  }

  async #receive(params: StreamParams<"import">, stream: Duplex, signal: AbortSignal): Promise<void> {
    const { records, sessions, homes, clock, stallMs } = this.#with;
    const { id } = params.session;
    this.#refuseTaken(id);
    this.#with.refuseNew();
    this.#refuseOwner(params.owner);
    const earlier = records.get(id);
    if (earlier?.state === "waiting") await this.#discard(id, earlier.transfer_id);
    await refuseFull(dirname(homes.path(id)), params.bytes);
    const { transfer_id, from, request_id } = params;
    const session = sessions.hold({
      ...this.#metadata(params.session, request_id),
      transfer: { state: "arrived", id: transfer_id, from, since: timestamp(clock) },
    });
    let kept = false;
    try {
      const folder = await homes.receive(id);
      await writeLine(stream, { ok: true, result: { state: "ready" } });
      const waits = { signal, ...(stallMs === undefined ? {} : { stallMs }) };
      const trailer = await receiveEntries(stream, folder, waits);
      await this.#compare(folder, trailer.tree_sha256, signal);
      await this.#with.sync(folder, signal);
      signal.throwIfAborted();
      await records.put({ state: "waiting", transfer_id, since: timestamp(clock), session });
      kept = true;
    } finally {
      if (!kept) {
        await homes.refuse(id);
        sessions.release(id);
      }
    }
    await writeLine(stream, { ok: true, result: { state: "waiting" } });
  }

  /** What lies on the disk is what the sender has, and nothing but files, directories and links. */
  async #compare(folder: string, sent: string | null, signal: AbortSignal): Promise<void> {
    const tree = await walk(folder, signal);
    const [strange] = skippedFiles(tree).skipped;
    if (strange) throw new ConvocateError("BAD_ARCHIVE", `the archive holds a ${strange.kind}: ${strange.path}`);
    if (sent !== null && (await treeDigest(folder, tree, signal)) !== sent)
      throw new ConvocateError("BAD_ARCHIVE", "what was unpacked is not what was sent: its SHA-256 differs");
  }

  /** Metadata first, then the home in its place, as a create does; a crash between is finished by `tidy`. */
  async #activate(id: SessionId, transferId: string): Promise<ImportResult> {
    return await this.#state(id, await this.#accept(id, transferId));
  }

  async #accept(id: SessionId, transferId: string): Promise<"here" | "left" | "absent"> {
    const { store, records, sessions, homes, locks, events, clock } = this.#with;
    return await locks.run(id, "move", async () => {
      const record = records.get(id);
      const session = store.get(id);
      if (record?.transfer_id !== transferId || record.state === "arrived") return this.#known(id, transferId);
      if (!arrivedBy(session, transferId)) {
        // Held since it came, unless another had its port or DNS name by the time this agent started.
        sessions.hold(record.session);
        await store.put(record.session);
      }
      await homes.accept(id);
      await records.put({ state: "arrived", transfer_id: transferId, since: timestamp(clock), session_id: id });
      sessions.release(id);
      const { transfer } = record.session;
      tellCreated(events, record.session, transfer?.state === "arrived" ? { from_agent: transfer.from } : {});
      return "here" as const;
    });
  }

  /** Never what was activated: that is a session now. */
  async #discard(id: SessionId, transferId: string): Promise<ImportResult> {
    const { store, records, sessions, homes, locks } = this.#with;
    if (this.#underWay.get(id)?.transferId === transferId) await this.#end(id);
    const begun = await locks.run(id, "move", async () => {
      const record = records.get(id);
      if (record?.state !== "waiting" || record.transfer_id !== transferId) return this.#known(id, transferId);
      if (arrivedBy(store.get(id), transferId)) return "activating" as const;
      await homes.refuse(id);
      await records.remove(id);
      sessions.release(id);
      return "absent" as const;
    });
    return begun === "activating" ? this.#activate(id, transferId) : this.#state(id, begun);
  }

  async #settle(id: SessionId, transferId: string): Promise<ImportResult> {
    const { records, locks } = this.#with;
    const known = await locks.run(id, "move", async () => {
      const record = records.get(id);
      if (record?.state === "arrived" && record.transfer_id === transferId) await records.remove(id);
      return this.#known(id, transferId);
    });
    return this.#state(id, known);
  }

  /** What became of a transfer that does not wait any more. */
  #known(id: SessionId, transferId: string): "here" | "left" | "absent" {
    const record = this.#with.records.get(id);
    const session = this.#with.store.get(id);
    if (record?.transfer_id === transferId) return session && session.transfer?.state !== "moved" ? "here" : "left";
    if (arrivedBy(session, transferId)) return "here";
    return record || session ? "left" : "absent";
  }

  async #state(id: SessionId, state: "here" | "left" | "absent"): Promise<ImportResult> {
    if (state !== "here") return { state };
    const session: Session = await this.#with.sessions.get(id);
    return { state, session };
  }

  /** Ends the import of this session that is under way, if any. */
  async #end(id: SessionId): Promise<void> {
    const underWay = this.#underWay.get(id);
    underWay?.abort.abort(new ConvocateError("INTERRUPTED", "another transfer of this session took its place"));
    await underWay?.ended;
  }

  #metadata(session: Portable, request_id: string): Metadata {
    return { ...session, restart_to_apply: false, request_id };
  }

  #refuseTaken(id: SessionId): void {
    const session = this.#with.store.get(id);
    if (!session) return;
    throw new ConvocateError(
      "SESSION_EXISTS",
      session.transfer?.state === "moved"
        ? `what is left of session ${id} is still here since it moved away: move it again when every agent answers`
        : `session ${session.name} (${id}) is on this agent already`,
    );
  }

  #refuseOwner(owner: { uid: number; gid: number }): void {
    const { uid, gid } = this.#with.owner;
    if (owner.uid === uid && owner.gid === gid) return;
    throw new ConvocateError(
      "REFUSED",
      `the service users differ: ${owner.uid}:${owner.gid} there, ${uid}:${gid} here; give both agents the same one`,
    );
  }
}

function arrivedBy(session: Metadata | undefined, transferId: string): boolean {
  return session?.transfer?.state === "arrived" && session.transfer.id === transferId;
}
