import { setTimeout as sleep } from "node:timers/promises";

/**
 * Polls until `probe` gives something other than undefined, null or false: at once, then soon, then every 100 ms; or every
 * `everyMs`, for a probe that also acts (two Esc in a row mean something else than one). The deadline's error says what was
 * waited for.
 */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | null | false> | T | undefined | null | false,
  { timeoutMs = 30_000, everyMs }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (let pauseMs = 5; ; pauseMs *= 2) {
    const value = await probe();
    if (value !== undefined && value !== null && value !== false) return value;
    if (performance.now() > end) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}`);
    await sleep(everyMs ?? Math.min(pauseMs, 100));
  }
}
