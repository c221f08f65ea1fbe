import {
  ConvocateError,
  type EffectiveSettings,
  type Limits,
  type Resources,
  type SessionId,
} from "../../domain/index.js";
import { within, type Clock } from "../clock.js";
import type { DockerEngine } from "../containers/engine.js";
import { containerName } from "../containers/spec.js";
import { add, allowedOf, denial, isInSlice, pledgeOfContainer, pledgeOfSession } from "./pledges.js";

/** The whole of a check, waiting for others included: an answer comes within 10 s even when Docker hangs. */
export const ADMISSION_MS = 8_000;
const NOTHING: Resources = { cpus: 0, memory_bytes: 0, disk_bytes: 0 };

export interface Candidate {
  id: SessionId;
  limits: Limits;
}

export interface AdmissionOptions {
  docker: Pick<DockerEngine, "running">;
  settings: () => EffectiveSettings;
  /** The host's own cores, memory and the size of the homes' file system. */
  total: () => Promise<Resources>;
  /** Every session there is, running or not. */
  sessions: () => readonly Candidate[];
  /** What a session's home takes on disk as last measured; 0 before that. */
  diskUse: (id: SessionId) => number;
  clock: Clock;
}

export interface Pledged {
  total: Resources;
  allowed: Resources;
  pledged: Resources;
  /** Running, or about to: in the slice. */
  sessions: number;
}

/**
 * Layer 1 of SPEC 7. Processors and memory are pledged by what runs in the slice or is being started; disk by every home,
 * which takes its allowance while its session runs, and what it holds already while it does not, because it cannot grow
 * then. Check and reservation are one turn, taken one after another, and a reservation lasts until its container runs and
 * Docker tells of it; so any number of starts at once never pass the cap together.
 */
export class Admission {
  readonly #with: AdmissionOptions;
  /** What is being started, by its container's name. */
  readonly #reserved = new Map<string, Resources>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: AdmissionOptions) {
    this.#with = options;
  }

  /**
   * Reserves what the session pledges, to be given back (disposed of) once its container runs or has failed to. A container
   * of its own that still runs does not count: it is to be replaced. Throws ADMISSION_DENIED, and TIMEOUT or DOCKER_ERROR
   * where Docker does not say what runs.
   */
  async reserve(session: Candidate): Promise<Disposable> {
    const name = containerName(session.id);
    return await this.#inTurn(async (signal) => {
      signal.throwIfAborted();
      const others = await this.#look(name);
      signal.throwIfAborted();
      const wanted = this.#pledge(session);
      const denied = denial({ ...others, settings: this.#with.settings(), wanted });
      if (denied !== null) throw new ConvocateError("ADMISSION_DENIED", denied);
      this.#reserved.set(name, wanted);
      return {
        [Symbol.dispose]: () => {
          if (this.#reserved.get(name) === wanted) this.#reserved.delete(name);
        },
      };
    });
  }

  /** What is pledged now. Throws what Docker's engine throws. */
  async pledged(): Promise<Pledged> {
    const { total, pledged, sessions } = await this.#look(null);
    return { total, allowed: allowedOf(total, this.#with.settings()), pledged, sessions: sessions.running };
  }

  /** The sum without the container of that name. Reservations are read before Docker is asked: one that ends meanwhile counts. */
  async #look(
    without: string | null,
  ): Promise<{ total: Resources; pledged: Resources; sessions: { running: number; all: number } }> {
    const { docker, sessions, settings, diskUse } = this.#with;
    const live = new Map(this.#reserved);
    const [running, total] = await Promise.all([docker.running(), this.#with.total()]);
    const ours = new Map(sessions().map((session) => [containerName(session.id), session]));
    for (const container of running) {
      const session = ours.get(container.name);
      if (container.cgroupParent === null) {
        // Docker cannot tell of it. What it may use is what its session says; one of nobody's counts as if it were in the slice.
        live.set(container.name, this.#pledge(session ?? { limits: {} }));
        continue;
      }
      if (!isInSlice(container.cgroupParent)) continue;
      const diskBytes = session ? this.#pledge(session).disk_bytes : settings().disk_bytes;
      live.set(container.name, pledgeOfContainer(container, settings(), diskBytes));
    }
    if (without !== null) live.delete(without);
    let pledged = [...live.values()].reduce(add, NOTHING);
    let stopped = 0;
    for (const [name, { id }] of ours) {
      if (name === without || live.has(name)) continue;
      stopped += 1;
      pledged = add(pledged, { ...NOTHING, disk_bytes: diskUse(id) });
    }
    return { total, pledged, sessions: { running: live.size, all: live.size + stopped } };
  }

  #pledge({ id, limits }: { id?: SessionId; limits: Limits }): Resources {
    return pledgeOfSession(limits, this.#with.settings(), id ? this.#with.diskUse(id) : 0);
  }

  /** One at a time, in order; a work that hangs gives its turn up after ADMISSION_MS, and so does who waits that long. */
  async #inTurn<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const before = this.#turn;
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    this.#turn = Promise.all([before, ended]);
    const gaveUp = new AbortController();
    const worked = before.then(() => work(gaveUp.signal));
    try {
      return await within(this.#with.clock, ADMISSION_MS, worked, () => {
        throw new ConvocateError(
          "TIMEOUT",
          `Docker did not say within ${ADMISSION_MS / 1000} s what runs on this agent, so nothing was started: see \`journalctl -u docker\``,
        );
      });
    } catch (error) {
      gaveUp.abort(error);
      throw error;
    } finally {
      end();
    }
  }
}
