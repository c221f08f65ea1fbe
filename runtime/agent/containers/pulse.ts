import { ConvocateError } from "../../domain/index.js";
import type { Clock } from "../clock.js";
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
    const over = new AbortController();
    const hung = new AbortController();
    try {
      return await Promise.race([work(hung.signal), this.#watch(what, patienceMs, over.signal)]);
    } catch (error) {
      hung.abort(error);
      throw error;
    } finally {
      over.abort();
    }
  }

  /** Rejects when a ping is not answered; never resolves. */
  async #watch(what: string, patienceMs: number, over: AbortSignal): Promise<never> {
    await this.#sleep(FIRST_MS, over);
    while (!over.aborted) {
      // One that is refused is answered: the work hears the same, and says it better.
      const answered = this.#docker.ping(patienceMs).then(
        () => true,
        (error: unknown) => !(error instanceof ConvocateError && error.code === "TIMEOUT"),
      );
      const waiting = new AbortController();
      const late = this.#clock.sleep(patienceMs, AbortSignal.any([over, waiting.signal])).then(
        () => false,
        () => true,
      );
      const alive = await Promise.race([answered, late]);
      waiting.abort();
      if (!alive) {
        throw new ConvocateError(
          "TIMEOUT",
          `Docker has not answered for ${patienceMs / 1000} s, so it is not known whether ${what} was done: see ` +
            `\`systemctl status docker\` on this host, then look at the session again`,
        );
      }
      await this.#sleep(EVERY_MS, over);
    }
    return await new Promise<never>(() => undefined);
  }

  async #sleep(ms: number, over: AbortSignal): Promise<void> {
    await this.#clock.sleep(ms, over).catch(() => undefined);
  }
}
