import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, open, rename, rm, writeFile } from "node:fs/promises";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { constants, createZstdCompress } from "node:zlib";
import { ConvocateError } from "../../runtime/domain/index.js";
import { cacheRoot, checkoutRoot } from "./checkout.js";
import { fileSha256 } from "./upload.js";

/** Where a version of Node lies on hosts. */
export const runtimePath = (version: string): string => `/usr/local/lib/convocate/node/${version}/bin/node`;

/** The version of the checkout's own Node (the npm package `node`), which is what hosts get. */
export function runtimeVersion(): string {
  const text = readFileSync(join(checkoutRoot(), "node_modules/node/package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

export interface RuntimeBinary {
  path: string;
  /** The same, packed with zstd. */
  packedPath: string;
  sha256: string;
}

const binaries = new Map<string, Promise<RuntimeBinary>>();

/** The Node binary for a processor, here and packed; once per process, and packed once per machine. */
export function runtimeBinary(version: string, arch: "x64" | "arm64", signal: AbortSignal): Promise<RuntimeBinary> {
  const key = `${version}-${arch}`;
  let promise = binaries.get(key);
  if (!promise) {
    promise = prepare(version, arch, signal);
    binaries.set(key, promise);
    promise.catch(() => binaries.delete(key));
  }
  return promise;
}

async function prepare(version: string, arch: "x64" | "arm64", signal: AbortSignal): Promise<RuntimeBinary> {
  const own = join(checkoutRoot(), "node_modules/node/bin/node");
  const path = arch === process.arch && version === runtimeVersion() ? own : await fetched(version, arch, signal);
  if (!existsSync(path))
    throw new ConvocateError("IO_ERROR", `${path} is not there: run script/bootstrap, which installs the packages`);
  const sha256 = await fileSha256(path, signal);
  const folder = join(cacheRoot(), "runtime");
  // Named by its content, so that what is there is right.
  const packedPath = join(folder, `node-${version}-${arch}-${sha256.slice(0, 16)}.zst`);
  if (!existsSync(packedPath)) {
    await mkdir(folder, { recursive: true });
    await whole(packedPath, folder, async (part) => {
      const packer = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } });
      await pipeline(createReadStream(path), packer, createWriteStream(part), { signal });
    });
  }
  return { path, packedPath, sha256 };
}

/** For hosts of another processor than ours: npm's package for it, checked against the digest that the registry gives. */
async function fetched(version: string, arch: "x64" | "arm64", signal: AbortSignal): Promise<string> {
  const folder = join(cacheRoot(), "runtime");
  const path = join(folder, `node-${version}-${arch}`);
  if (existsSync(path)) return path;
  await mkdir(folder, { recursive: true });
  const name = `node-linux-${arch}@${version}`;
  const run = promisify(execFile);
  const work = await mkdtemp(join(folder, "part-"));
  try {
    const { stdout } = await run("npm", ["pack", "--json", name], { cwd: work, signal, timeout: 600_000 });
    const [packed] = JSON.parse(stdout) as { filename: string; integrity: string }[];
    if (!packed) throw new ConvocateError("IO_ERROR", `npm packed nothing for ${name}`);
    const tarball = join(work, packed.filename);
    const hash = createHash("sha512");
    for await (const chunk of createReadStream(tarball)) hash.update(chunk as Buffer);
    if (`sha512-${hash.digest("base64")}` !== packed.integrity)
      throw new ConvocateError("IO_ERROR", `${name} arrived damaged: run the same again`);
    await run("tar", ["-xzf", tarball, "-C", work, "package/bin/node"], { signal, timeout: 120_000 });
    await rename(join(work, "package/bin/node"), path);
  } catch (error) {
    if (error instanceof ConvocateError) throw error;
    throw new ConvocateError("IO_ERROR", `npm could not fetch ${name}: see that it reaches its registry`, {
      cause: error,
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return path;
}

async function whole(path: string, folder: string, fill: (part: string) => Promise<void>): Promise<void> {
  const work = await mkdtemp(join(folder, "part-"));
  try {
    const part = join(work, "part");
    await writeFile(part, "");
    await fill(part);
    await using file = await open(part, "r+");
    await file.sync();
    await rename(part, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
