import { z } from "zod";
import { ConvocateError } from "../../runtime/domain/index.js";
import { ABSOLUTE_PATH, normalMode } from "../host/files.js";
import type { Difference } from "./lifecycle.js";

/** Which host a resource lies on, by its name in the inventory: an input of every resource that has a host. */
export const HostName = z.string().min(1);

export const AbsolutePath = z.string().regex(ABSOLUTE_PATH, "must be an absolute path without spaces or ..");
export const Mode = z
  .string()
  .regex(/^[0-7]{3,4}$/, "must be octal, as 0644")
  .transform(normalMode);
/** A user's or group's name on the host. */
export const Account = z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/, "must be a user's or group's name");
/** A command, word by word. */
export const Argv = z.array(z.string()).min(1);

/** The release that the inventory holds a host at, and this checkout's, which is another. */
export const Held = z.object({ at: z.string(), checkout: z.string() });
export type Held = z.infer<typeof Held>;

/** Before anything is brought to a host that is held: what it lacks is of a release that this checkout is not. */
export function refuseHeld({ host, held }: { host: string; held?: Held | undefined }): void {
  if (!held) return;
  throw new ConvocateError(
    "REFUSED",
    `${host} is held at ${held.at} by the inventory, and what it lacks is not in this checkout, which is ${held.checkout}: ` +
      `do this from a checkout of ${held.at}, or change or remove its release in the inventory`,
  );
}

export const change = (path: string): Difference => ({ path, kind: "change" });
export const add = (path: string): Difference => ({ path, kind: "add" });
export const remove = (path: string): Difference => ({ path, kind: "remove" });

/** Equal as values: order of keys does not count, since the engine does not keep it. */
export function same(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    part !== null && typeof part === "object" && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

/** `path` as changed for each property that differs between the two. */
export function compare<T extends object>(
  state: T,
  inputs: T,
  properties: readonly (keyof T & string)[],
): Difference[] {
  return properties.filter((property) => !same(state[property], inputs[property])).map(change);
}

/** Differences by name between two records of plain values, as `triggers.program`. */
export function compareRecords(
  name: string,
  state: Readonly<Record<string, unknown>>,
  inputs: Readonly<Record<string, unknown>>,
): Difference[] {
  const keys = [...new Set([...Object.keys(state), ...Object.keys(inputs)])].sort();
  return keys
    .filter((key) => !same(state[key], inputs[key]))
    .map((key) => {
      const path = /^[A-Za-z_][A-Za-z0-9_]*$/.test(key) ? `${name}.${key}` : `${name}["${key}"]`;
      if (!(key in state)) return add(path);
      return key in inputs ? change(path) : remove(path);
    });
}
