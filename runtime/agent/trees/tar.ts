import { execFile, spawn, type ChildProcess } from "node:child_process";
import { promisify } from "node:util";
import type { Readable, Writable } from "node:stream";
import { ConvocateError } from "../../domain/index.js";
import type { Tree } from "./tree.js";

/** What a user keeps beside a file's content. Not `security.*`: what a host grants a program is that host's to say. */
const ATTRIBUTES = ["--xattrs", "--xattrs-include=user.*", "--acls"];
/** How much of what tar says is kept. */
const MAX_SAID = 8 * 1024;
/** How long a file system may take to write out what an archive brought. */
const SYNC_TIMEOUT_MS = 600_000;

/** The system's tar at work. `done` resolves when it ended, and rejects with the signal's reason or IO_ERROR. */
export interface Tar {
  done: Promise<{ exitCode: number; killedBy: NodeJS.Signals | null; said: string }>;
}

/**
 * Packs a home less what stdin names, a line each: owners as numbers, links as links, holes as holes, times to the nanosecond,
 * extended attributes and ACLs. tar finds its way itself, from open folder to open folder, and follows no link (O_NOFOLLOW):
 * by a list of paths a session could lead it out of its home, by a link put in a folder's place meanwhile. Of a home that
 * is `changing`, files that vanished meanwhile are left out. With an `owner`, everything is that one's. Pure.
 */
function packArgv(root: string, changing: boolean, owner?: { uid: number; gid: number }): string[] {
  return [
    "tar",
    "--create",
    "--file=-",
    `--directory=${root}`,
    "--format=posix",
    "--pax-option=delete=atime,delete=ctime",
    ...ATTRIBUTES,
    "--sparse",
    "--numeric-owner",
    "--sort=name",
    "--warning=no-file-ignored",
    ...(owner ? [`--owner=:${owner.uid}`, `--group=:${owner.gid}`] : []),
    ...(changing ? ["--ignore-failed-read"] : []),
    "--anchored",
    "--no-wildcards",
    "--exclude-from=-",
    ".",
  ];
}

/**
 * Unpacks into a folder that is empty. GNU tar lets nothing out of it: leading slashes are cut off, `..` is refused, and a
 * link that leads elsewhere is made last, so that no member is written through it. Pure.
 */
function unpackArgv(root: string): string[] {
  return [
    "tar",
    "--extract",
    "--file=-",
    `--directory=${root}`,
    ...ATTRIBUTES,
    "--numeric-owner",
    "--same-owner",
    "--same-permissions",
    "--delay-directory-restore",
  ];
}

export function pack(
  root: string,
  { skipped }: Pick<Tree, "skipped">,
  signal: AbortSignal,
  { changing = false, owner }: { changing?: boolean; owner?: { uid: number; gid: number } } = {},
): Tar & { output: Readable } {
  const child = start(packArgv(root, changing, owner), signal);
  const { stdin, stdout } = child.process;
  if (!stdin || !stdout) throw new ConvocateError("INTERNAL", "tar has no pipes");
  // an early end of tar is told by its status
  stdin.on("error", () => undefined);
  // A FIFO whose name no line can hold is packed, and is a FIFO in the copy; sockets tar leaves out by itself.
  const lines = skipped.filter(({ path }) => !path.includes("\n")).map(({ path }) => `${path}\n`);
  stdin.end(Buffer.from(lines.join(""), "latin1"));
  return { output: stdout, done: child.done };
}

export function unpack(root: string, signal: AbortSignal): Tar & { input: Writable } {
  const child = start(unpackArgv(root), signal);
  const { stdin, stdout } = child.process;
  if (!stdin || !stdout) throw new ConvocateError("INTERNAL", "tar has no pipes");
  stdin.on("error", () => undefined);
  stdout.resume();
  return { input: stdin, done: child.done };
}

/** Makes everything below the file system of `path` last through a power cut. */
export async function syncFileSystem(path: string, signal: AbortSignal): Promise<void> {
  await promisify(execFile)("sync", ["--file-system", path], { signal, timeout: SYNC_TIMEOUT_MS });
}

/** The first of tar's complaints, for an error's one line. */
export function firstComplaint(said: string): string {
  return said.split("\n").find((line) => line.trim() !== "") ?? "it said nothing";
}

/** DISK_FULL when that is what tar complains of: it has one status for all its errors, and two ways to tell this one. */
export function diskFull(folder: string, said: string): ConvocateError | null {
  return /No space left on device|Disk quota exceeded|Wrote only \d+ of \d+ bytes/.test(said)
    ? new ConvocateError("DISK_FULL", `the file system of ${folder} is full: make room there and try again`)
    : null;
}

function start(argv: string[], signal: AbortSignal): { process: ChildProcess; done: Tar["done"] } {
  const [file = "", ...rest] = argv;
  const child = spawn(file, rest, {
    stdio: "pipe",
    signal,
    killSignal: "SIGKILL",
    // what tar says is in the language we quote
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C" },
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    if (said.length < MAX_SAID) said += text.slice(0, MAX_SAID);
  });
  const done = new Promise<Awaited<Tar["done"]>>((resolve, reject) => {
    child.once("error", (cause) =>
      reject(
        signal.aborted ? (signal.reason as Error) : new ConvocateError("IO_ERROR", "tar cannot be run", { cause }),
      ),
    );
    child.once("close", (code, killedBy) => resolve({ exitCode: code ?? 128, killedBy, said }));
  });
  // whoever waits for the pipes hears of their end first
  done.catch(() => undefined);
  return { process: child, done };
}
