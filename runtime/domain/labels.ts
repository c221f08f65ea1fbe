import { z } from "zod";

/** As Kubernetes has them, less the empty value: what can stand in `--label KEY=VALUE` and in a list with commas. */
export const LabelKey = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?$/, "must be a label's key: 1 to 63 of a-z, 0-9, . _ / and -");
export const LabelValue = z
  .string()
  .regex(
    /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
    "must be a label's value: 1 to 63 of letters, digits, . _ and -",
  );
/** What the operator calls an agent by, beside its name. As peers send them: theirs may have other rules one day. */
export const Labels = z.record(z.string(), z.string());
export type Labels = z.infer<typeof Labels>;

/** Whether something with these labels has all that are wanted. */
export function hasLabels(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}

/** `gpu=yes,room=cellar`, by key; empty when there are none. */
export function labelsText(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");
}

/** `agent-1 (room=cellar), agent-2 (no labels)`: what there is, for whoever asked for what there is not. */
export function labelledText(all: readonly { name: string; labels: Labels }[]): string {
  return all.map(({ name, labels }) => `${name} (${labelsText(labels) || "no labels"})`).join(", ");
}
