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
  return resolve(root, stackSetting(root, stack, "convocate:inventory") ?? `infra/stacks/${stack}.yaml`);
}

/** A plain setting of Pulumi.<stack>.yaml; undefined when it is not there, or a secret. */
export function stackSetting(root: string, stack: string, key: string): string | undefined {
  const config = join(root, `Pulumi.${checkStackName(stack)}.yaml`);
  if (!existsSync(config)) return undefined;
  const settings = parse(readFileSync(config, "utf8")) as { config?: Record<string, unknown> } | null;
  const value = settings?.config?.[key];
  return typeof value === "string" ? value : undefined;
}
