import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { ConvocateError } from "../../runtime/domain/index.js";

/** The checkout that this program runs from: the nearest directory above it with Pulumi.yaml. */
export function checkoutRoot(from: string = fileURLToPath(import.meta.url)): string {
  for (let at = dirname(from); ; at = dirname(at)) {
    if (existsSync(join(at, "Pulumi.yaml"))) return at;
    if (at === dirname(at))
      throw new ConvocateError(
        "BAD_USAGE",
        "convocate-host works in a checkout of convocate: there is no Pulumi.yaml above it",
      );
  }
}

/** A stack's name becomes part of file names and arguments: what Pulumi allows, less what a path could be made of. */
export function checkStackName(stack: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/.test(stack)) return stack;
  throw new ConvocateError("BAD_USAGE", `bad stack name ${JSON.stringify(stack)}: use letters, digits, - and _`);
}

/**
 * The stack's inventory, absolute: `convocate:inventory` of Pulumi.<stack>.yaml, else infra/stacks/<stack>.yaml. Program,
 * provider and convocate-host all find it here, so that they speak of the same hosts.
 */
export function inventoryPath(root: string, stack: string): string {
  const config = join(root, `Pulumi.${checkStackName(stack)}.yaml`);
  let named: unknown;
  if (existsSync(config)) {
    const settings = parse(readFileSync(config, "utf8")) as { config?: Record<string, unknown> } | null;
    named = settings?.config?.["convocate:inventory"];
  }
  return resolve(root, typeof named === "string" ? named : `infra/stacks/${stack}.yaml`);
}
