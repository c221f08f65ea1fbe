import { ConvocateError } from "../../domain/index.js";
import { within, type Clock } from "../clock.js";
import type { DockerEngine } from "./engine.js";

/** Most work is over before Docker need be asked how it is. */
const FIRST_MS = 500;
const EVERY_MS = 1_500;

/**
 * Tells a Docker that hangs from work that takes its time: while work is under way, Docker is pinged, and a ping that is not
 * answered ends the wait. The work itself goes on, so that nothing else is begun on the session before its end is known.
 */
export class DockerPulse {
  readonly #docker: Pick<DockerEngine, "ping">;
  readonly #clock: Clock;

  constructor(docker: Pick<DockerEngine, "ping">, clock: Clock) {
    this.#docker = docker;
    this.#clock = clock;
  }

  /** The work's result, or TIMEOUT once Docker has not answered for so long; the signal then tells work not to begin. */
  async guard<T>(what: string, patienceMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const hung = new AbortController();
    const { promise: silent, reject } = Promise.withResolvers<never>();
    using _watch = this.#watch(patienceMs, () =>
      reject(
        new ConvocateError(
          "TIMEOUT",
          `Docker has not answered for ${patienceMs / 1000} s, so it is not known whether ${what} was done: see ` +
            `\`systemctl status docker\` on this host, then look at the session again`,
        ),
      ),
    );
    try {
      return await Promise.race([work(hung.signal), silent]);
    } catch (error) {
      hung.abort(error);
      throw error;
    }
  }

  /** Calls `silent` when a ping is not answered, until this is disposed of. */
  #watch(patienceMs: number, silent: () => void): Disposable {
    let over = false;
    const look = async (): Promise<void> => {
      // One that is refused is answered: the work hears the same, and says it better.
      const answered = this.#docker.ping(patienceMs).then(
        () => true,
        (error: unknown) => !(error instanceof ConvocateError && error.code === "TIMEOUT"),
      );
      const alive = await within(this.#clock, patienceMs, answered, () => false);
      if (over) return;
      if (alive) waiting = this.#clock.after(EVERY_MS, () => void look());
      else silent();
    };
    let waiting = this.#clock.after(FIRST_MS, () => void look());
    return {
      [Symbol.dispose]: () => {
        over = true;
        waiting[Symbol.dispose]();
      },
    };
  }
}
