import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { text } from "node:stream/consumers";
import { ConvocateError } from "../../domain/index.js";

/** What a copy of a home leaves out, by its path relative to the home. */
export interface Skipped {
  path: string;
  kind: "socket" | "fifo" | "device";
}

/** The first of what was skipped, and how many there were. */
export interface SkippedList {
  named: Skipped[];
  total: number;
}

const MAX_NAMED = 100;
/** Each is named on a command line, which is bounded. */
const MAX_EXCLUDED = 1000;
const KINDS: Record<string, Skipped["kind"]> = { s: "socket", p: "fifo", b: "device", c: "device" };
const SPECIAL = ["(", "-type", "s", "-o", "-type", "p", "-o", "-type", "b", "-o", "-type", "c", ")"];

/** Lists the special files below `root`. Pure. */
export function findSpecialArgv(root: string): string[] {
  return ["find", root, "-xdev", ...SPECIAL, "-printf", "%y%P\\0"];
}

/**
 * Packs `root` as it is: owners by number, times to the nanosecond, links as links, holes as holes. GNU tar ends with 1 when
 * files changed or vanished meanwhile (which a running session's do), with 2 when it could not read one. Pure.
 */
export function packArgv(root: string, left: readonly string[]): string[] {
  const excluded = left.map((path) => `--exclude=./${path}`);
  return [
    "tar",
    "--create",
    "--file=-",
    `--directory=${root}`,
    "--format=posix",
    "--numeric-owner",
    "--sparse",
    "--one-file-system",
    "--anchored",
    "--no-wildcards",
    ...excluded,
    ".",
  ];
}

/** Unpacks into `root`. Pure. */
export function unpackArgv(root: string): string[] {
  return ["tar", "--extract", "--file=-", `--directory=${root}`, "--numeric-owner", "--preserve-permissions"];
}

/** What a copy of this home would leave out; `excluded` are those that tar must be told of, as it leaves sockets out itself. */
export async function specialFiles(root: string, signal?: AbortSignal): Promise<SkippedList & { excluded: string[] }> {
  const found = await run(findSpecialArgv(root), [0, 1], signal);
  const all = found
    .split("\0")
    .filter((entry) => entry !== "")
    .map((entry): Skipped => ({ path: entry.slice(1), kind: KINDS[entry.charAt(0)] ?? "device" }));
  const excluded = all.filter(({ kind }) => kind !== "socket").map(({ path }) => path);
  if (excluded.length > MAX_EXCLUDED) {
    throw new ConvocateError(
      "REFUSED",
      `${root} holds ${excluded.length} FIFOs and device files, of ${MAX_EXCLUDED} at most: remove some before it is copied`,
    );
  }
  return { named: all.slice(0, MAX_NAMED), total: all.length, excluded };
}

/**
 * Copies a home, also one in use: sockets, FIFOs and devices are left out, everything else is as it was, and on disk once
 * this is over. Throws IO_ERROR; the copy is to be discarded then.
 */
export async function copyHome(from: string, to: string, signal?: AbortSignal): Promise<SkippedList> {
  const { excluded, ...skipped } = await specialFiles(from, signal);
  await mkdir(to, { mode: 0o700 });
  const pack = start(packArgv(from, excluded), signal);
  const unpack = start(unpackArgv(to), signal);
  // A packer that is cut off ends with an error of its own, so a broken pipe says nothing new.
  const piped = pipeline(pack.child.stdout, unpack.child.stdin).catch(() => undefined);
  const [packed, unpacked] = await Promise.allSettled([ended(pack, [0, 1], from), ended(unpack, [0], to), piped]);
  // Each ends when the other fails: one that a signal ended is not the one that failed.
  const status = await pack.exit.catch(() => null);
  const failed = [packed, unpacked].filter((one) => one.status === "rejected");
  if (typeof status !== "number") failed.reverse();
  if (failed[0]) throw failed[0].reason;
  // One that came into being after the list was made.
  await run(["find", to, "-xdev", ...SPECIAL, "-delete"], [0], signal);
  await run(["sync", "--file-system", to], [0], signal);
  return skipped;
}

type Started = ReturnType<typeof start>;

function start(argv: readonly string[], signal?: AbortSignal) {
  const [file = "", ...rest] = argv;
  const child = spawn(file, rest, {
    stdio: "pipe",
    env: { PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    ...(signal ? { signal } : {}),
  });
  child.stdin.on("error", () => undefined);
  const said = boundedText(child.stderr);
  const exit = new Promise<number | string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, killedBy) => resolve(code ?? killedBy ?? "a signal"));
  });
  exit.catch(() => undefined);
  return { child, file, said, exit };
}

async function ended({ file, said, exit }: Started, good: readonly number[], path: string): Promise<void> {
  const status = await exit;
  if (typeof status === "number" && good.includes(status)) return;
  const why = (await said).trim().split("\n")[0] ?? "";
  throw new ConvocateError(
    "IO_ERROR",
    `${path} cannot be copied: ${file} ended with ${status}${why ? ` (${why})` : ""}: see to its disk, then try again`,
  );
}

async function run(argv: readonly string[], good: readonly number[], signal?: AbortSignal): Promise<string> {
  const started = start(argv, signal);
  started.child.stdin.end();
  const [output] = await Promise.all([text(started.child.stdout), ended(started, good, argv[1] ?? "")]);
  return output;
}

/** The first of what a program said; the rest is read and dropped, so that it never waits. */
async function boundedText(stream: AsyncIterable<Buffer>, maxBytes = 4096): Promise<string> {
  let kept = "";
  for await (const chunk of stream) if (kept.length < maxBytes) kept += chunk.toString("utf8");
  return kept.slice(0, maxBytes);
}
