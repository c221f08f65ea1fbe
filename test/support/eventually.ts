import { setTimeout as sleep } from "node:timers/promises";

/**
 * Polls until `probe` gives something other than undefined, null or false: at once, then soon, then every `everyMs`. The
 * deadline's error says what was waited for.
 */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | null | false> | T | undefined | null | false,
  { timeoutMs = 30_000, everyMs = 100 } = {},
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (let pauseMs = 5; ; pauseMs *= 2) {
    const value = await probe();
    if (value !== undefined && value !== null && value !== false) return value;
    if (performance.now() > end) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}`);
    await sleep(Math.min(pauseMs, everyMs));
  }
}
