/** Writes docs/schemas/*.json from the very schemas that the programs are checked against. A test compares the two. */
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);
mkdirSync("docs/schemas", { recursive: true });
mkdirSync("dist", { recursive: true });
const bundle = join(root, "dist/schemas.mjs");
await build({
  entryPoints: ["cli/output/schemas.ts"],
  outfile: bundle,
  bundle: true,
  platform: "node",
  format: "esm",
  packages: "external",
});
const { schemaDocuments } = await import(pathToFileURL(bundle).href);
for (const name of readdirSync("docs/schemas")) rmSync(join("docs/schemas", name));
for (const [name, schema] of Object.entries(schemaDocuments()))
  writeFileSync(join("docs/schemas", name), `${JSON.stringify(schema, null, 2)}\n`);
execFileSync(process.execPath, [
  "node_modules/prettier/bin/prettier.cjs",
  "--write",
  "--log-level",
  "warn",
  "docs/schemas",
]);
