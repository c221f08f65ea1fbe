import { createHash } from "node:crypto";
import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { runScript, withSignal } from "./script.js";

/** A path that may stand in a line of ours: absolute, normal, without white space or anything a shell would look at. */
export const ABSOLUTE_PATH = /^(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._@%+:,=-]+)+$/;

export interface Ownership {
  /** Octal, as `0644`. */
  mode: string;
  owner: string;
  group: string;
}

/**
 * Something at a path. `seed` is a file with a first content that somebody else then writes: its content is not watched.
 */
export type Entry =
  ({ type: "file" | "seed"; content: string | Buffer } & Ownership) | ({ type: "directory" } & Ownership);

/** What is at a path now. */
export type Found =
  | ({ type: "file"; sha256: string } & Ownership)
  | ({ type: "directory" } & Ownership)
  | { type: "missing" }
  /** A link, a socket, …: never ours. */
  | { type: "other" };

export const sha256 = (content: string | Buffer): string => createHash("sha256").update(content).digest("hex");

/** `0644` from `644`, `0644` and the like, so that modes can be compared. */
export const normalMode = (mode: string): string => parseInt(mode, 8).toString(8).padStart(4, "0");

/**
 * Writes each file whole: a temporary file in the same directory, fsync, owner and mode set before anything can be read
 * from it under its name, rename. What an interrupted run left behind is swept. A record on standard input is a line
 * `type mode owner group size path`, then `size` bytes; parents come before children.
 */
export const WRITE = `
umask 022
tmp=
trap 'if [ -n "$tmp" ]; then rm -f -- "$tmp"; fi' EXIT
while read -r type mode owner group size path; do
  if [ "$type" = directory ]; then
    mkdir -p -- "$path"
    chown -- "$owner:$group" "$path"
    chmod -- "$mode" "$path"
    continue
  fi
  folder=\${path%/*}
  mkdir -p -- "\${folder:-/}"
  if [ "$type" = seed ] && [ -f "$path" ]; then
    head -c "$size" >/dev/null
    chown -- "$owner:$group" "$path"
    chmod -- "$mode" "$path"
    continue
  fi
  rm -f -- "$folder/.\${path##*/}".convocate-??????
  tmp=$(mktemp -- "$folder/.\${path##*/}.convocate-XXXXXX")
  head -c "$size" >"$tmp"
  chown -- "$owner:$group" "$tmp"
  chmod -- "$mode" "$tmp"
  sync -- "$tmp"
  mv -fT -- "$tmp" "$path"
  tmp=
  sync -- "\${folder:-/}"
done`;

/** Standard input of the write: see WRITE. Pure. */
export function writeInput(entries: Readonly<Record<string, Entry>>): Buffer {
  const parts: Buffer[] = [];
  for (const path of Object.keys(entries).sort()) {
    const entry = entries[path] as Entry;
    for (const word of [path, entry.mode, entry.owner, entry.group])
      if (/\s/.test(word) || word === "") throw new ConvocateError("BAD_PARAMS", `bad path, mode or owner '${word}'`);
    const content = entry.type === "directory" ? Buffer.alloc(0) : Buffer.from(entry.content);
    parts.push(
      Buffer.from(`${entry.type} ${entry.mode} ${entry.owner} ${entry.group} ${content.length} ${path}\n`),
      content,
    );
  }
  return Buffer.concat(parts);
}

/** Makes every entry so, in one exec. Content goes by standard input only. */
export async function writeEntries(
  connection: Connection,
  entries: Readonly<Record<string, Entry>>,
  signal?: AbortSignal,
): Promise<void> {
  if (Object.keys(entries).length === 0) return;
  await runScript(connection, WRITE, [], { input: writeInput(entries), ...withSignal(signal) });
}

/** Two processes for any number of paths. Both complain about what is not there, which `missing` says. */
export const LOOK = `
stat -c '%F|%a|%U|%G|%n' -- "$@" 2>/dev/null || :
echo ---
sha256sum -- "$@" 2>/dev/null || :`;

/** What LOOK printed, by path; a path it did not print is missing. Pure. */
export function parseLook(stdout: string, paths: readonly string[]): Record<string, Found> {
  const [stats = "", sums = ""] = stdout.split(/^---$/m);
  const hashes = new Map<string, string>();
  for (const line of sums.split("\n")) {
    const match = /^([0-9a-f]{64}) [ *](.*)$/.exec(line);
    if (match?.[1] && match[2]) hashes.set(match[2], match[1]);
  }
  const found: Record<string, Found> = Object.fromEntries(paths.map((path) => [path, { type: "missing" } as const]));
  for (const line of stats.split("\n")) {
    const [type, mode, owner, group, ...rest] = line.split("|");
    const path = rest.join("|");
    if (!type || !mode || !owner || !group || !(path in found)) continue;
    const ownership = { mode: normalMode(mode), owner, group };
    const hash = hashes.get(path);
    if (type === "directory") found[path] = { type: "directory", ...ownership };
    else if (type.startsWith("regular") && hash) found[path] = { type: "file", sha256: hash, ...ownership };
    else found[path] = { type: "other" };
  }
  return found;
}

/** What is at each path, in one exec. */
export async function lookAt(
  connection: Connection,
  paths: readonly string[],
  signal?: AbortSignal,
): Promise<Record<string, Found>> {
  if (paths.length === 0) return {};
  const { stdout } = await runScript(connection, LOOK, paths, withSignal(signal));
  return parseLook(stdout, paths);
}

/** Removes files, and directories that are empty then, children first. What is not there is no error. */
const REMOVE = `
for path; do
  if [ -d "$path" ] && [ ! -L "$path" ]; then rmdir --ignore-fail-on-non-empty -- "$path"; else rm -f -- "$path"; fi
done`;

export async function removeEntries(
  connection: Connection,
  paths: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  if (paths.length === 0) return;
  await runScript(connection, REMOVE, [...paths].sort().reverse(), withSignal(signal));
}
