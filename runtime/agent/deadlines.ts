import { ConvocateError } from "../domain/index.js";
import { timestamp, within, type Clock } from "./clock.js";
import type { DockerPulse } from "./containers/pulse.js";

/** How long a Docker that does not answer may hold up a question, and an operation: its answer must come within 10 s. */
export const QUESTION_PATIENCE_MS = 4_000;
const OPERATION_PATIENCE_MS = 6_000;
/** Stopping takes 10 s of grace, a start on a busy host some more; removing a big home takes its time. */
export const OPERATION_MS = 180_000;
/** A kill is 10 s of grace, SIGKILL, and some more on a busy host: one that Docker has not done by then it may never do. */
export const KILL_MS = 20_000;
/** Some hundred GB on one disk. */
export const COPY_MS = 3_600_000;

/** Gives operations their deadlines. An answer is due by then; what was begun goes on to its end, and keeps its lock until. */
export class Deadlines {
  readonly #pulse: DockerPulse;
  readonly #clock: Clock;

  constructor(pulse: DockerPulse, clock: Clock) {
    this.#pulse = pulse;
    this.#clock = clock;
  }

  /** For what needs Docker: TIMEOUT when it hangs, whatever the operation was doing, or when the time is over. */
  async withDocker<T>(op: string, work: (signal: AbortSignal) => Promise<T>, limitMs = OPERATION_MS): Promise<T> {
    return await this.within(op, limitMs, (over) =>
      this.#pulse.guard(op, OPERATION_PATIENCE_MS, (hung) => work(AbortSignal.any([over, hung]))),
    );
  }

  /** TIMEOUT when the time is over; the signal is aborted then. */
  async within<T>(op: string, limitMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = new AbortController();
    const since = timestamp(this.#clock);
    return await within(this.#clock, limitMs, work(late.signal), () => {
      const error = new ConvocateError(
        "TIMEOUT",
        `${op} has not ended within ${limitMs / 1000} s since ${since}: look at the session again later`,
      );
      late.abort(error);
      throw error;
    });
  }
}
