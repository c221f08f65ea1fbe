import type { Log } from "../../protocol/log.js";
import type { Clock } from "../clock.js";

/** How long to wait before Docker is asked again: changes must be seen within 2 s (SPEC 5.3). */
const RETRY_MS = 500;

export interface Following<E> {
  /** What is followed, for the log. */
  what: string;
  events: (signal: AbortSignal, onOpen: () => void) => AsyncIterable<E>;
  /** Each time Docker listens, before any event: to compare what is with what was last known. */
  onOpen: () => Promise<void>;
  /** One after another. */
  onEvent: (event: E) => Promise<void>;
  /** Each time the stream is over, or could not be opened. */
  onClose: () => void;
  clock: Clock;
  log: Log;
  signal: AbortSignal;
}

/** Follows one of Docker's event streams until the signal, opening it again whenever it ends. Never rejects. */
export async function followDocker<E>(following: Following<E>): Promise<void> {
  const { what, clock, log, signal } = following;
  const stopped = (): boolean => signal.aborted;
  let complained = false;
  while (!stopped()) {
    try {
      await followOnce(following, () => {
        if (complained) log.info({ what }, "Docker is back");
        complained = false;
      });
    } catch (error) {
      if (stopped()) return;
      if (!complained) log.warn({ what, error: String(error) }, "Docker cannot be watched; trying again");
      complained = true;
    } finally {
      following.onClose();
    }
    await clock.sleep(RETRY_MS, signal).catch(() => undefined);
  }
}

async function followOnce<E>(following: Following<E>, isOpen: () => void): Promise<void> {
  const opened = Promise.withResolvers<void>();
  const events = following.events(following.signal, () => opened.resolve())[Symbol.asyncIterator]();
  let next = events.next();
  try {
    // Whichever is first: a stream that is open, or the reason why it is not.
    await Promise.race([opened.promise, next]);
    isOpen();
    await following.onOpen();
    for (let item = await next; !item.done; item = await (next = events.next())) await following.onEvent(item.value);
  } finally {
    next.catch(() => undefined);
    await events.return?.();
  }
}
