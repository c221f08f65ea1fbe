import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream, rmSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress } from "node:zlib";
import { z } from "zod";
import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { cacheRoot } from "./checkout.js";
import { runScript, withSignal } from "./script.js";

export interface ImageFound {
  /** `sha256:…` */
  imageId: string;
  /** RootFS: digests of the unpacked layers. */
  layers: string[];
  sizeBytes: number;
  /** As Docker names it: `amd64`, `arm64`. */
  architecture: string;
}

const Inspected = z.array(
  z.object({
    Id: z.string(),
    RootFS: z.object({ Layers: z.array(z.string()) }),
    Size: z.number(),
    Architecture: z.string(),
  }),
);

/** Parses `docker image inspect`; null for an empty list. Pure. */
export function parseImage(stdout: string): ImageFound | null {
  if (stdout.trim() === "") return null;
  const [image] = Inspected.parse(JSON.parse(stdout));
  if (!image) return null;
  return {
    imageId: image.Id,
    layers: image.RootFS.Layers,
    sizeBytes: image.Size,
    architecture: image.Architecture,
  };
}

/** Exit 44: a daemon answers and has no such image. */
const FIND = `
docker image inspect -- "$1" 2>/dev/null && exit 0
docker version >/dev/null || exit 1
exit 44`;

/** The image of that name or id on a host, null when it is not there; DOCKER_ERROR when no daemon answers. */
export async function findImage(
  connection: Connection,
  reference: string,
  options: { root: boolean; signal?: AbortSignal },
): Promise<ImageFound | null> {
  const { stdout, stderr, exitCode } = await runScript(connection, FIND, [reference], {
    allowFailure: true,
    root: options.root,
    ...withSignal(options.signal),
  });
  if (exitCode === 0) return parseImage(stdout);
  if (exitCode === 44) return null;
  throw new ConvocateError(
    "DOCKER_ERROR",
    `${connection.host.name}: no Docker engine answers (${stderr.trim().split("\n").at(-1) ?? ""}); systemctl status docker says why`,
  );
}

export interface ExportedImage {
  path: string;
  sha256: string;
  bytes: number;
}

const exports = new Map<string, Promise<ExportedImage>>();

/**
 * `docker save` of an image of this machine, packed with zstd into a file: once for every agent that this process serves.
 * The file goes when the process ends; those of processes that were killed go at the next export a day later.
 */
export function exportImage(tag: string, imageId: string, signal: AbortSignal): Promise<ExportedImage> {
  let promise = exports.get(imageId);
  if (!promise) {
    promise = save(tag, signal);
    exports.set(imageId, promise);
    // A failed one may be tried again.
    promise.catch(() => exports.delete(imageId));
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
    const age =
      Date.now() -
      (await stat(path).then(
        (found) => found.mtimeMs,
        () => Date.now(),
      ));
    if (age > STALE_MS) await rm(path, { recursive: true, force: true });
  }
  const folder = await mkdtemp(join(parent, "image-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function save(tag: string, signal: AbortSignal): Promise<ExportedImage> {
  const path = join(await exportFolder(), "image.tar.zst");
  const hash = createHash("sha256");
  let bytes = 0;
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  const child = spawn("docker", ["save", "--", tag], { stdio: ["ignore", "pipe", "pipe"], signal });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-2000)));
  const ended = new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
  const packer = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } });
  const [code] = await Promise.all([ended, pipeline(child.stdout, packer, count, createWriteStream(path), { signal })]);
  if (code !== 0)
    throw new ConvocateError(
      "DOCKER_ERROR",
      `docker save ${tag} failed on this machine: ${said.trim() || `exit ${code}`}`,
    );
  return { path, sha256: hash.digest("hex"), bytes };
}
