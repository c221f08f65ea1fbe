import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { checkoutRoot } from "./checkout.js";

/** Hash of what script/image builds from: names, contents and executable bits of image/, and the script itself. */
export function imageSource(root: string = checkoutRoot()): string {
  const hash = createHash("sha256");
  const names = readdirSync(join(root, "image"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const path of [...names, join(root, "script/image")]) {
    const content = readFileSync(path);
    hash
      .update(`${path.slice(root.length)} ${content.length} ${(statSync(path).mode & 0o100) !== 0}\n`)
      .update(content);
  }
  return hash.digest("hex");
}
