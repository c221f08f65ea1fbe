import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { posix } from "node:path";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { ConvocateError } from "../../runtime/domain/index.js";
import type { ImageFound } from "./image.js";
import type { ArchiveEntry } from "./image-archive.js";
import { outputHere, startHere } from "./local-program.js";

/**
 * A layer that Docker unpacked, as its tar-split file tells it (github.com/vbatts/tar-split): what was between the contents
 * of its files, and the files in their order.
 */
interface Layer {
  pieces: readonly (Buffer | { name: Buffer; bytes: number })[];
  /** Of the whole tar. */
  bytes: number;
}

const Piece = z.union([
  z.object({ type: z.literal(2), payload: z.base64().nullable() }),
  z.object({
    type: z.literal(1),
    name: z.string().default(""),
    name_raw: z.base64().optional(),
    size: z.int().default(0),
  }),
]);

/** Unpacked; one of the 182 MB of a Debian is 15 MB. */
const MAX_SPLIT_BYTES = 256 * 1024 * 1024;
const BLOCK_BYTES = 256 * 1024;

/** Parses a tar-split file, packed with gzip as it lies there. Pure. */
export function parseSplit(packed: Buffer): Layer {
  const text = gunzipSync(packed, { maxOutputLength: MAX_SPLIT_BYTES }).toString("utf8");
  const pieces: (Buffer | { name: Buffer; bytes: number })[] = [];
  let bytes = 0;
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const piece = Piece.parse(JSON.parse(line));
    if (piece.type === 2) {
      const between = Buffer.from(piece.payload ?? "", "base64");
      pieces.push(between);
      bytes += between.length;
    } else if (piece.size > 0) {
      const { name, name_raw, size } = piece;
      pieces.push({ name: name_raw === undefined ? Buffer.from(name) : Buffer.from(name_raw, "base64"), bytes: size });
      bytes += size;
    }
  }
  return { pieces, bytes };
}

/** How Docker calls each layer together with all below it (OCI image specification, ChainID). Pure. */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    const both = `${below} ${diffId}`;
    chain.push(below === undefined ? diffId : `sha256:${createHash("sha256").update(both).digest("hex")}`);
  }
  return chain;
}

/** Within the layer's folder whatever the name says, and never an option. Pure. */
export function within(name: Buffer): Buffer {
  return Buffer.from(`.${posix.join("/", name.toString("latin1"))}`, "latin1");
}

const hex = (digest: string): string => digest.replace(/^sha256:/, "");

/**
 * An image of this machine without its `skip` lowest layers, read from where Docker's overlay2 keeps it, so that a layer
 * costs no more than that layer: `docker save` always writes all of them. Whoever reads it gets the bytes with the right
 * digests, or an error. Rejects where Docker keeps images in another way, or on another machine, or where we cannot be
 * root: then `docker save` it is.
 */
export async function storedImage(
  tag: string,
  { imageId, layers }: Pick<ImageFound, "imageId" | "layers">,
  skip: number,
  signal: AbortSignal,
): Promise<ArchiveEntry[]> {
  const { driver, root } = await dockerStore(signal);
  if (driver !== "overlay2") throw notReadable(`Docker's storage driver here is ${driver}`);
  const meta = `${root}/image/${driver}`;
  const config = await readAsRoot(`${meta}/imagedb/content/sha256/${hex(imageId)}`, signal);
  if (sha256(config) !== hex(imageId)) throw notReadable(`the configuration of ${tag} has another digest`);
  const configName = `${hex(imageId)}.json`;
  const names = layers.map((diffId) => `${hex(diffId)}.tar`);
  const manifest = JSON.stringify([{ Config: configName, RepoTags: [tag], Layers: names }]);
  const entries = new Map([
    ["manifest.json", small("manifest.json", Buffer.from(manifest))],
    [configName, small(configName, config)],
  ]);
  const chain = chainIds(layers);
  for (const [index, diffId] of layers.entries()) {
    const name = names[index] ?? "";
    // The same layer may be there twice, an empty one for instance.
    if (index < skip || entries.has(name)) continue;
    const at = `${meta}/layerdb/sha256/${hex(chain[index] ?? "")}`;
    const [split, cacheId] = await Promise.all([
      readAsRoot(`${at}/tar-split.json.gz`, signal),
      readAsRoot(`${at}/cache-id`, signal),
    ]);
    const layer = parseSplit(split);
    const folder = `${root}/${driver}/${cacheId.toString("utf8").trim()}/diff`;
    const content = (): AsyncIterable<Buffer> => verified(joined(layer, folder, signal), hex(diffId));
    entries.set(name, { header: { name, size: layer.bytes }, content });
  }
  return [...entries.values()];
}

function small(name: string, bytes: Buffer): ArchiveEntry {
  const content = async function* (): AsyncGenerator<Buffer> {
    yield bytes;
  };
  return { header: { name, size: bytes.length }, content };
}

/** The tar that this layer came as: the pieces between from the split, the files' contents from where they lie. */
async function* joined(layer: Layer, folder: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  // cat reads them in their order, as many at a time as fit an argument list.
  const script = 'cd -- "$1" && exec xargs -0 -r cat --';
  const program = startHere([...root(), "sh", "-euc", script, "layer", folder], signal, "pipe");
  const names = layer.pieces.flatMap((piece) => (Buffer.isBuffer(piece) ? [] : [within(piece.name), Buffer.of(0)]));
  // One that ends early says why by its exit code.
  program.stdin?.on("error", () => undefined).end(Buffer.concat(names));
  const contents = program.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  let rest: Buffer = Buffer.alloc(0);
  let block: Buffer[] = [];
  let blockBytes = 0;
  const put = (piece: Buffer): boolean => {
    block.push(piece);
    blockBytes += piece.length;
    return blockBytes >= BLOCK_BYTES;
  };
  const take = (): Buffer => {
    const all = Buffer.concat(block, blockBytes);
    [block, blockBytes] = [[], 0];
    return all;
  };
  for (const piece of layer.pieces) {
    if (Buffer.isBuffer(piece)) {
      if (put(piece)) yield take();
      continue;
    }
    for (let left = piece.bytes; left > 0;) {
      if (rest.length === 0) {
        const next = await contents.next();
        if (next.done === true) {
          await program.ended;
          throw notReadable(`${folder} holds less than its layer`);
        }
        rest = next.value;
      }
      const part = rest.subarray(0, left);
      rest = rest.subarray(part.length);
      left -= part.length;
      if (put(part)) yield take();
    }
  }
  yield take();
  program.stdout.resume();
  await program.ended;
}

async function* verified(source: AsyncIterable<Buffer>, wanted: string): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
  const have = hash.digest("hex");
  if (have !== wanted) throw notReadable(`layer ${wanted} came out with the digest ${have}`);
}

async function dockerStore(signal: AbortSignal): Promise<{ driver: string; root: string }> {
  const said = await outputHere(["docker", "info", "--format", "{{.Driver}} {{.DockerRootDir}}"], signal);
  const [driver = "", ...rest] = said.toString("utf8").trim().split(" ");
  return { driver, root: rest.join(" ") };
}

const root = (): string[] => (process.getuid?.() === 0 ? [] : ["sudo", "-n", "--"]);

function readAsRoot(path: string, signal: AbortSignal): Promise<Buffer> {
  return process.getuid?.() === 0 ? readFile(path, { signal }) : outputHere([...root(), "cat", "--", path], signal);
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const notReadable = (why: string): ConvocateError =>
  new ConvocateError("IO_ERROR", `Docker's storage on this machine cannot be read: ${why}`);
