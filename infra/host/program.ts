import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConvocateError } from "../../runtime/domain/index.js";
import { checkoutRoot } from "./checkout.js";
import { runtimePath } from "./runtime.js";

export type ProgramName = "convocate" | "convocate-agent";

/** Where a release's programs lie on hosts. */
export const RELEASES = "/usr/local/lib/convocate/releases";
export const wrapperPath = (program: ProgramName): string => `/usr/local/bin/${program}`;

const programsFolder = (): string => join(checkoutRoot(), "dist/programs");

/** Release of what `npm run build` made. */
export function builtRelease(): string {
  return readFileSync(join(checkoutRoot(), "dist/release"), "utf8").trim();
}

/**
 * Files of a program in dist/programs by name, with their SHA-256. The agent is one file; `convocate` is all the others,
 * since its bundle is split so that `convocate ls` does not load the TUI.
 */
export function programFiles(program: ProgramName): Record<string, string> {
  const folder = programsFolder();
  let names: string[] = [];
  try {
    names = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  } catch {
    // Told below: nothing was built.
  }
  const own = names.filter((name) => (name === "convocate-agent.mjs") === (program === "convocate-agent")).sort();
  if (!own.includes(`${program}.mjs`))
    throw new ConvocateError("IO_ERROR", `dist/programs/${program}.mjs is not there: run npm run build`);
  return Object.fromEntries(own.map((name) => [name, sha256Of(readFileSync(join(folder, name)))]));
}

/** Content of such a file, which must still be what was declared. */
export function programFile(name: string, sha256: string): Buffer {
  const content = readFileSync(join(programsFolder(), name));
  if (sha256Of(content) !== sha256)
    throw new ConvocateError(
      "IO_ERROR",
      `dist/programs/${name} changed while it was being rolled out: run the same again`,
    );
  return content;
}

/** What people and units start. node:sqlite says at each start that it is experimental; nobody at a prompt needs that. */
export function wrapper(program: ProgramName, release: string, nodeVersion: string): string {
  return `#!/bin/sh
# Written by convocate.
exec ${runtimePath(nodeVersion)} --disable-warning=ExperimentalWarning ${RELEASES}/${release}/${program}.mjs "$@"
`;
}

const sha256Of = (content: Buffer): string => createHash("sha256").update(content).digest("hex");
