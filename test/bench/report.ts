import Table from "cli-table3";
import { ratio, verdict, type Figure, type Target } from "./figures.js";

/** What the machine did beside us. A figure taken on a busy machine is noise, so the report says which it was. */
export interface Quiet {
  processors: number;
  /** 1-minute load averages right before and after. */
  loadBefore: number;
  loadAfter: number;
}

const inUnit = (value: number, unit: Figure["unit"] = "ms"): string =>
  unit === "ms" && value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`;
const asked = (target: Target, unit: Figure["unit"]): string =>
  target.kind === "ratio" ? `≤ ${target.atMost}x` : `≤ ${inUnit(target.atMost, unit)}`;

/** The table that is printed: a row per figure, the target of SPEC 14 beside it. */
export function table(figures: readonly Figure[], quiet: Quiet): string {
  const out = new Table({
    head: ["what", "convocate", "beside", "", "ratio", "must be", "", "n"],
    style: { head: [], border: [] },
    colAligns: ["left", "right", "left", "right", "right", "right", "left", "right"],
  });
  for (const figure of figures) {
    const times = ratio(figure);
    out.push([
      figure.what,
      inUnit(figure.ours, figure.unit),
      figure.beside?.name ?? "",
      figure.beside ? inUnit(figure.beside.value, figure.unit) : "",
      times === null ? "" : `${times.toFixed(2)}x`,
      figure.target ? asked(figure.target, figure.unit) : "",
      verdict(figure) ?? "",
      figure.samples,
    ]);
  }
  const { processors, loadBefore, loadAfter } = quiet;
  return `${out.toString()}\n${processors} processors; load ${loadBefore.toFixed(2)} before, ${loadAfter.toFixed(2)} after`;
}

/** The same for programs: every figure with its ratio and verdict. */
export function json(figures: readonly Figure[], quiet: Quiet): string {
  const rows = figures.map((figure) => ({ ...figure, ratio: ratio(figure), verdict: verdict(figure) }));
  return JSON.stringify({ quiet, figures: rows }, null, 2);
}
