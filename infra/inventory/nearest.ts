import type { z } from "zod";
import { byText } from "../../runtime/domain/index.js";

/** Changes of one letter that turn `a` into `b` (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The known key that was most likely meant; undefined when none is near. */
export function nearest(key: string, known: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[-_]/g, "");
  const ranked = known
    .map((name) => ({ name, far: distance(plain(key), plain(name)) }))
    .sort((a, b) => a.far - b.far || byText(a.name, b.name));
  const best = ranked[0];
  return best && best.far <= Math.max(1, Math.floor(key.length / 3)) ? best.name : undefined;
}

/** Keys that a schema's object at `path` knows; empty where it is no object. */
export function knownKeys(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  let at: z.core.$ZodType | undefined = schema;
  for (const key of path) {
    const here = unwrap(at);
    if (here instanceof Object && "shape" in here) at = (here.shape as Record<string, z.core.$ZodType>)[String(key)];
    else if (here instanceof Object && "element" in here) at = here.element as z.core.$ZodType;
    else return [];
  }
  const here = unwrap(at);
  return here instanceof Object && "shape" in here ? Object.keys(here.shape as object) : [];
}

/** What is inside optional, default and prefault. */
function unwrap(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  let at = schema;
  while (at && "innerType" in at._zod.def) at = at._zod.def.innerType as z.core.$ZodType;
  return at;
}
