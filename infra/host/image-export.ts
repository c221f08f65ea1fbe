import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream, rmSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Transform, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress } from "node:zlib";
import { z } from "zod";
import { ConvocateError } from "../../runtime/domain/index.js";
import { cacheRoot } from "./checkout.js";

/** An archive for `docker load` in which the lowest layers are left out, packed with zstd. */
export interface PackedImage {
  path: string;
  /** Of the packed file. */
  sha256: string;
  /** Packed. */
  bytes: number;
  /** What it unpacks to. */
  rawBytes: number;
}

/** manifest.json of `docker save`, in the old layout and in OCI's alike: the layers' files in their order. */
const Manifest = z.array(z.object({ Layers: z.array(z.string()) })).length(1);

const saved = new Map<string, Promise<string>>();
const packed = new Map<string, Promise<PackedImage>>();

/**
 * `docker save` of an image of this machine, once for every agent that this process serves, packed without its `skip` lowest
 * layers once for each such number. Docker takes an archive whose layers it has already without their files. What is made
 * goes when the process ends; what processes that were killed left goes at the next export a day later.
 */
export function exportImage(tag: string, imageId: string, skip: number, signal: AbortSignal): Promise<PackedImage> {
  const folder = once(saved, imageId, () => save(tag, signal));
  return once(packed, `${imageId} ${skip}`, async () => pack(await folder, skip, signal));
}

function once<T>(made: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  let promise = made.get(key);
  if (!promise) {
    promise = make();
    made.set(key, promise);
    // A failed one may be tried again.
    promise.catch(() => made.delete(key));
  }
  return promise;
}

const STALE_MS = 86_400_000;

/** Not in /tmp, which may be memory. */
async function exportFolder(): Promise<string> {
  const parent = join(cacheRoot(), "exports");
  await mkdir(parent, { recursive: true, mode: 0o700 });
  for (const name of await readdir(parent)) {
    const path = join(parent, name);
    const changed = await stat(path).then(
      (found) => found.mtimeMs,
      () => Date.now(),
    );
    if (Date.now() - changed > STALE_MS) await rm(path, { recursive: true, force: true });
  }
  const folder = await mkdtemp(join(parent, "image-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Unpacked, so that each agent's archive can leave out what it has. */
async function save(tag: string, signal: AbortSignal): Promise<string> {
  const folder = join(await exportFolder(), "saved");
  await mkdir(folder);
  const from = start(["docker", "save", "--", tag], "ignore", signal);
  const to = start(["tar", "-xf", "-", "-C", folder, "--no-same-owner"], "pipe", signal);
  if (!from.stdout || !to.stdin) throw new ConvocateError("INTERNAL", "docker save has no output");
  await Promise.all([pipeline(from.stdout, to.stdin, { signal }), from.ended, to.ended]);
  return folder;
}

async function pack(folder: string, skip: number, signal: AbortSignal): Promise<PackedImage> {
  const [manifest] = Manifest.parse(JSON.parse(await readFile(join(folder, "manifest.json"), "utf8")));
  const left = (manifest?.Layers ?? []).slice(0, skip);
  // The same file may be a layer twice, an empty one for instance: what is needed above stays.
  const needed = new Set((manifest?.Layers ?? []).slice(skip));
  const without = left.filter((layer) => !needed.has(layer)).map((layer) => `--exclude=./${layer}`);
  const path = join(folder, "..", `without-${skip}.tar.zst`);
  const tar = start(
    ["tar", "-cf", "-", "-C", folder, "--anchored", "--no-wildcards", ...without, "."],
    "ignore",
    signal,
  );
  if (!tar.stdout) throw new ConvocateError("INTERNAL", "tar has no output");
  const raw = meter();
  const small = meter();
  const packer = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } });
  await Promise.all([
    pipeline(tar.stdout, raw.stream, packer, small.stream, createWriteStream(path), { signal }),
    tar.ended,
  ]);
  return { path, sha256: small.sha256(), bytes: small.bytes(), rawBytes: raw.bytes() };
}

/** Counts and hashes what goes through. */
function meter(): { stream: Transform; bytes: () => number; sha256: () => string } {
  const hash = createHash("sha256");
  let bytes = 0;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  return { stream, bytes: () => bytes, sha256: () => hash.digest("hex") };
}

interface Running {
  stdin: NodeJS.WritableStream | null;
  stdout: Readable | null;
  /** Rejects when it does not end with 0. */
  ended: Promise<void>;
}

function start(argv: readonly string[], stdin: "ignore" | "pipe", signal: AbortSignal): Running {
  const [program = "", ...args] = argv;
  const child = spawn(program, args, { stdio: [stdin, "pipe", "pipe"], signal });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-2000)));
  const ended = new Promise<void>((resolve, reject) => {
    child.once("error", reject).once("close", (code) => {
      if (code === 0) resolve();
      else
        reject(
          new ConvocateError(
            "IO_ERROR",
            `${argv.slice(0, 2).join(" ")} failed on this machine: ${said.trim() || `exit ${code}`}`,
          ),
        );
    });
  });
  ended.catch(() => undefined);
  return { stdin: child.stdin, stdout: child.stdout, ended };
}
