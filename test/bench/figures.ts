/** What SPEC 14 asks of a figure: a ratio to what a user would use instead, or a number of its own. */
export type Target = { kind: "ratio"; atMost: number } | { kind: "value"; atMost: number };

export interface Figure {
  /** What was measured, as in SPEC 14, with the statistic: `keystroke echo, p50`. */
  what: string;
  /** Of `ours` and of what is beside it: milliseconds unless told; MB are 10^6 bytes, KB 10^3. */
  unit?: "ms" | "MB" | "KB" | "%";
  ours: number;
  /** What a user would use instead, null when there is nothing. */
  beside: { name: string; value: number } | null;
  /** Null for a figure that is printed to be looked at only. */
  target: Target | null;
  /** How many measurements it is made of. */
  samples: number;
}

/**
 * The p-th percentile (0 to 100) by nearest rank: a value that was measured, never one in between.
 * @throws RangeError for no values, or p out of range.
 */
export function percentile(values: readonly number[], p: number): number {
  if (p < 0 || p > 100) throw new RangeError(`percentile ${p} is not within 0 to 100`);
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)];
  if (value === undefined) throw new RangeError("no values, so no percentile");
  return value;
}

export const median = (values: readonly number[]): number => percentile(values, 50);

/** Ours through the peer's; null without a peer. */
export function ratio({ ours, beside }: Figure): number | null {
  return beside && beside.value > 0 ? ours / beside.value : null;
}

/** `met`, `MISSED`, or null where no target binds. */
export function verdict(figure: Figure): "met" | "MISSED" | null {
  const { target } = figure;
  if (!target) return null;
  const value = target.kind === "value" ? figure.ours : ratio(figure);
  if (value === null) throw new RangeError(`${figure.what}: a ratio is asked for, and there is no peer`);
  return value <= target.atMost ? "met" : "MISSED";
}
