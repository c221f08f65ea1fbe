import { createHash } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { lstat, open, opendir, readlink } from "node:fs/promises";
import { ConvocateError } from "../../domain/index.js";
import type { OpResult } from "../../protocol/rpc/ops.js";
import type { Skipped } from "../../protocol/rpc/archive.js";
import { codeOf } from "../../protocol/files.js";
import { OpenFolders, within } from "./folders.js";

/** A file, a directory or a link below a home. `path` is relative, its bytes as Latin-1, since a name may be no UTF-8. */
export interface Entry {
  path: string;
  kind: "file" | "directory" | "link";
  /** With the bits of its kind. */
  mode: number;
  uid: number;
  gid: number;
  /** Of the last change of its content, in whole seconds; 0 for a link, since not every tar restores those. */
  modified_s: number;
}

export interface Tree {
  /** Every entry that can be archived; a directory before what is in it. The home itself, `.`, is the first. */
  entries: Entry[];
  /** Sockets, FIFOs and devices, which belong to the processes of one host; each path as an entry's. */
  skipped: Skipped[];
  /** What the entries take on disk. */
  bytes: number;
}

/** What was left out, as the protocol tells it: how many, and the first of them. */
export type SkippedFiles = Pick<OpResult<"clone">, "skipped" | "skipped_total">;

const MAX_NAMED = 100;
/** How many `lstat` at a time. */
const AT_ONCE = 32;
/** A tree with more in it is no home: its list alone would fill the agent's memory. */
const MAX_ENTRIES = 2_000_000;
/** With the zero at its end (Linux, include/uapi/linux/limits.h); tar could not unpack a longer one. */
const PATH_MAX = 4096;

/**
 * Walks a home, from open folder to open folder and through no link, also of a session that moves things about meanwhile.
 * What vanishes is not there. Throws IO_ERROR when something cannot be read, and when there is more than anybody keeps in a home.
 */
export async function walk(root: string, signal?: AbortSignal, maxEntries = MAX_ENTRIES): Promise<Tree> {
  try {
    return await walked(root, signal, maxEntries);
  } catch (cause) {
    if (cause instanceof ConvocateError || signal?.aborted) throw cause;
    throw new ConvocateError("IO_ERROR", `${root} cannot be read: ${shortened(String(cause))}`, { cause });
  }
}

async function walked(root: string, signal: AbortSignal | undefined, maxEntries: number): Promise<Tree> {
  const tree: Tree = { entries: [], skipped: [], bytes: 0 };
  const room = (): number => maxEntries - tree.entries.length - tree.skipped.length;
  const add = (path: string, stats: Stats): boolean => {
    const kind = kindOf(stats);
    if (kind !== "file" && kind !== "directory" && kind !== "link") {
      tree.skipped.push({ path, kind });
      return false;
    }
    const { mode, uid, gid, mtimeMs, blocks } = stats;
    tree.entries.push({ path, kind, mode, uid, gid, modified_s: kind === "link" ? 0 : Math.floor(mtimeMs / 1000) });
    tree.bytes += blocks * 512;
    return kind === "directory";
  };
  const own = await lstat(root);
  if (!own.isDirectory()) throw new ConvocateError("IO_ERROR", `${root} is no directory`);
  add(".", own);
  await using open = new OpenFolders(root);
  const folders = ["."];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    signal?.throwIfAborted();
    const inside = folder;
    const here = await open.at(inside).catch(gone(null));
    if (here === null) continue;
    const names = await namesIn(here, room());
    if (names === null)
      throw new ConvocateError("IO_ERROR", `${root} has more than ${maxEntries} files: remove some of them`);
    const below: string[] = [];
    for (let at = 0; at < names.length; at += AT_ONCE) {
      signal?.throwIfAborted();
      const some = names.slice(at, at + AT_ONCE);
      const stats = await Promise.all(some.map((name) => lstat(within(here, name)).catch(gone(null))));
      for (const [index, name] of some.entries()) {
        const found = stats[index];
        const path = `${inside}/${name}`;
        if (root.length + 1 + path.length >= PATH_MAX) throw new Error(`ENAMETOOLONG: path too long: ${path}`);
        if (found && add(path, found)) below.push(path);
      }
    }
    folders.push(...below.reverse());
  }
  return tree;
}

/** Sorted; null when there are more than that. Read piece by piece: a list of many millions would not fit the agent's memory. */
async function namesIn(folder: string, most: number): Promise<string[] | null> {
  const names: string[] = [];
  for await (const { name } of await opendir(folder, { encoding: "latin1", bufferSize: 1024 })) {
    if (names.length === most) return null;
    names.push(name);
  }
  return names.sort();
}

export function skippedFiles({ skipped }: Tree): SkippedFiles {
  const named = skipped.slice(0, MAX_NAMED).map(({ path, kind }) => ({ path: shown(path), kind }));
  return { skipped: named, skipped_total: skipped.length };
}

/**
 * What a tree is, in one SHA-256: each entry's path, kind, owner, mode, modification time (whole seconds, which every file
 * system keeps), and content or target. Two homes with the same one are the same session.
 */
export async function treeDigest(root: string, tree: Tree, signal?: AbortSignal): Promise<string> {
  const digest = createHash("sha256");
  await using open = new OpenFolders(root);
  const found = async (path: string): Promise<Buffer> => {
    const slash = path.lastIndexOf("/");
    return within(await open.at(path.slice(0, slash)), path.slice(slash + 1));
  };
  for (const entry of [...tree.entries].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    signal?.throwIfAborted();
    const { path, kind, mode, uid, gid, modified_s } = entry;
    digest.update(JSON.stringify([path, mode, uid, gid, modified_s]));
    if (kind === "file") digest.update(await hashFile(await found(path), signal));
    else if (kind === "link") digest.update(await readlink(await found(path), { encoding: "buffer" }));
  }
  return digest.digest("hex");
}

/** A path may be thousands of characters long; an error is a line. */
function shortened(text: string): string {
  return text.length <= 300 ? text : `${text.slice(0, 300)}…`;
}

async function hashFile(path: Buffer, signal?: AbortSignal): Promise<Buffer> {
  // Of a FIFO in its place nothing is waited for.
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(256 * 1024);
  for (;;) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, buffer.length);
    if (bytesRead === 0) return hash.digest();
    hash.update(buffer.subarray(0, bytesRead));
  }
}

function kindOf(stats: Stats): Entry["kind"] | Skipped["kind"] {
  if (stats.isFile()) return "file";
  if (stats.isDirectory()) return "directory";
  if (stats.isSymbolicLink()) return "link";
  if (stats.isSocket()) return "socket";
  return stats.isFIFO() ? "fifo" : "device";
}

/** As people know it: UTF-8 where it is that, and without the leading `./`. */
function shown(path: string): string {
  const bytes = Buffer.from(path.replace(/^\.\//, ""), "latin1");
  const text = bytes.toString("utf8");
  return Buffer.from(text).equals(bytes) ? text : bytes.toString("latin1");
}

/** Something else, or nothing, is in its place now. */
function gone<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(String(codeOf(error)))) return instead;
    throw error;
  };
}
