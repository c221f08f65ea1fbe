import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ConvocateError } from "../../runtime/domain/index.js";

/** The checkout that this code runs from, as source or as a bundle in dist/: the nearest folder above with Pulumi.yaml. */
export function checkoutRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (existsSync(join(folder, "Pulumi.yaml")) || existsSync(join(folder, "package-lock.json"))) return folder;
    if (folder === dirname(folder))
      throw new ConvocateError("INTERNAL", "this program does not lie in a checkout of convocate");
  }
}

/** What is kept between checkouts: downloads, packed runtimes. */
export function cacheRoot(env: NodeJS.ProcessEnv = process.env): string {
  return env.CONVOCATE_CACHE ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "convocate");
}
