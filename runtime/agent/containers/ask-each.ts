import { ConvocateError, toConvocateError } from "../../domain/index.js";
import { systemClock, within } from "../clock.js";

/** How many questions to Docker at a time. */
const AT_ONCE = 8;
/** For all of them together: a list answers within 5 s, and a start within 10 s, whatever one container does. */
export const EACH_MS = 3_000;

/**
 * Asks Docker of each, for so long altogether. One container that Docker cannot tell of (its shim hangs, its files are
 * damaged) takes no other with it: in place of its answer stands the error. Answers that come later are nobody's.
 */
export async function askEach<K, T>(
  keys: readonly K[],
  ask: (key: K) => Promise<T>,
  patienceMs = EACH_MS,
): Promise<Map<K, T | ConvocateError>> {
  const answers = new Map<K, T | ConvocateError>();
  const rest = keys.values();
  const worker = async (): Promise<void> => {
    for (const key of rest) answers.set(key, await ask(key).catch(toConvocateError));
  };
  const all = Promise.all(Array.from({ length: AT_ONCE }, worker));
  await within<unknown>(systemClock, patienceMs, all, () => undefined);
  const told = new Map(answers);
  for (const key of keys) if (!told.has(key)) told.set(key, noAnswer());
  return told;
}

/** What stands for the answer of a container that Docker has not told of in time. */
export function noAnswer(): ConvocateError {
  return new ConvocateError(
    "TIMEOUT",
    "Docker does not say how this session's container is: see `journalctl -u docker` and its containerd-shim on this host",
  );
}
