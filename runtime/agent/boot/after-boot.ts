import { toConvocateError, type SessionId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import type { Clock } from "../clock.js";
import type { ContainerState } from "../containers/engine.js";
import type { Metadata } from "../sessions/metadata.js";

/** SPEC 6.5. */
const STARTS_AT_ONCE = 2;
/** Between a container's end and when that counts as its own doing: while the host goes down, the agent does not live that long. */
export const SETTLE_MS = 5_000;
const TRIES = 3;
const TRY_AGAIN_MS = 5_000;

export interface AfterBootOptions {
  /** Of this boot. */
  boot: string;
  store: {
    all(): Metadata[];
    get(id: SessionId): Metadata | undefined;
    update(id: SessionId, change: Partial<Pick<Metadata, "runs_in_boot" | "started_before">>): Promise<void>;
  };
  /** Null when the session has no container. */
  state: (id: SessionId) => Promise<ContainerState | null>;
  /** Starts a session that ran in another boot; does nothing when it should not run any more. */
  start: (id: SessionId) => Promise<void>;
  clock: Clock;
  log: Log;
}

/**
 * Brings back after a boot of the host what ran when it went down (SPEC 6.5). Each session's metadata names the boot in which
 * it was last started (`runs_in_boot`), until it is killed or ends by itself. One that names another boot than this one and
 * does not run was taken down with its host.
 */
export class AfterBoot implements AsyncDisposable {
  readonly #with: AfterBootOptions;
  readonly #stop = new AbortController();
  readonly #work = new Set<Promise<void>>();

  constructor(options: AfterBootOptions) {
    this.#with = options;
  }

  /**
   * Starts those that the host took down, two at a time, and notes which ended by themselves, and what a start that was cut
   * off could not note. Call once Docker answers, only `of` those sessions that it could tell of.
   */
  async resume(
    states: ReadonlyMap<SessionId, ContainerState>,
    of: (id: SessionId) => boolean = () => true,
  ): Promise<void> {
    const { boot, store, log } = this.#with;
    const waiting: SessionId[] = [];
    // What cannot be written of one keeps no other from being started.
    const note = (id: SessionId, change: Parameters<typeof store.update>[1]): Promise<void> =>
      store.update(id, change).catch((error: unknown) => {
        log.error({ session: id, error: String(error) }, "cannot note how a session was found");
      });
    for (const { id, runs_in_boot: ranIn, started_before } of store.all()) {
      if (!of(id)) continue;
      const state = states.get(id);
      // An agent that was killed as it started one could not note that any more: its conversation is there to go on with.
      if (!started_before && state?.startedAt) await note(id, { started_before: true });
      if (!ranIn || state?.running) continue;
      // In this very boot: it ended while no agent looked.
      if (ranIn === boot) await note(id, { runs_in_boot: null });
      else waiting.push(id);
    }
    if (waiting.length > 0)
      log.info({ sessions: waiting.length }, "the host has booted: sessions that ran are started");
    const worker = async (): Promise<void> => {
      for (let id = waiting.shift(); id && !this.#stop.signal.aborted; id = waiting.shift()) await this.#bringBack(id);
    };
    await this.#do(() => Promise.all(Array.from({ length: STARTS_AT_ONCE }, worker)));
  }

  /** A session's container ended: unless it is started again or the host goes down, it stays so after a boot. */
  ended(id: SessionId): void {
    const { boot, store, state, clock, log } = this.#with;
    if (store.get(id)?.runs_in_boot !== boot) return;
    void this.#do(async () => {
      await clock.sleep(SETTLE_MS, this.#stop.signal);
      if (store.get(id)?.runs_in_boot !== boot) return;
      const now = await state(id);
      if (!now?.running) await store.update(id, { runs_in_boot: null });
    }).catch((error: unknown) => {
      if (!this.#stop.signal.aborted) log.warn({ session: id, error: String(error) }, "a session's end is not noted");
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#work);
  }

  async #bringBack(id: SessionId): Promise<void> {
    const { start, clock, log } = this.#with;
    for (let left = TRIES - 1; ; left--) {
      try {
        await start(id);
        log.info({ session: id }, "started after the boot");
        return;
      } catch (error) {
        const { code, message } = toConvocateError(error);
        const again = left > 0 && (code === "DOCKER_ERROR" || code === "TIMEOUT") && !this.#stop.signal.aborted;
        log.warn({ session: id, code, error: message, again }, "a session did not start after the boot");
        if (!again) return;
        await clock.sleep(TRY_AGAIN_MS, this.#stop.signal).catch(() => undefined);
      }
    }
  }

  async #do(work: () => Promise<unknown>): Promise<void> {
    const mine = Promise.resolve(work()).then(() => undefined);
    this.#work.add(mine);
    try {
      await mine;
    } finally {
      this.#work.delete(mine);
    }
  }
}
