import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { buffer } from "node:stream/consumers";
import { extract } from "tar-stream";
import { z } from "zod";
import { ConvocateError } from "../../runtime/domain/index.js";
import { cacheRoot } from "./checkout.js";
import type { ImageFound } from "./image.js";
import { packArchive, type ArchiveEntry, type PackedImage } from "./image-archive.js";
import { storedImage } from "./image-store.js";
import { startHere } from "./local-program.js";
import { NamelessFile } from "./nameless-file.js";

interface SavedImage {
  entries: ArchiveEntry[];
  /** The layers' entries by name, from the bottom up. */
  layers: string[];
}

const saved = new Map<string, Promise<SavedImage>>();
const packed = new Map<string, Promise<PackedImage>>();

/**
 * An image of this machine, once for every agent that this process serves, packed without its `skip` lowest layers once for
 * each such number. It lies in files without names, which go with this process.
 * @throws ConvocateError DISK_FULL, IO_ERROR, INTERRUPTED
 */
export function exportImage(tag: string, image: ImageFound, skip: number, signal: AbortSignal): Promise<PackedImage> {
  return once(packed, `${image.imageId} ${tag} ${skip}`, async () => {
    try {
      return await packStored(tag, image, skip, signal).catch((thrown: unknown) => {
        if (signal.aborted || isFull(thrown)) throw thrown;
        return packSaved(tag, image, skip, signal);
      });
    } catch (thrown) {
      if (!isFull(thrown)) throw thrown;
      const message = `this machine: the disk of ${cacheRoot()} has no room for ${tag}; make room there and run the same again`;
      throw new ConvocateError("DISK_FULL", message, { cause: thrown });
    }
  });
}

type Pack = (tag: string, image: ImageFound, skip: number, signal: AbortSignal) => Promise<PackedImage>;

/** From Docker's own storage: reads nothing of the layers that are left out. */
export const packStored: Pack = async (tag, image, skip, signal) =>
  packArchive(await storedImage(tag, image, skip, signal), signal);

/** By `docker save`, which writes all of it however little is needed; once, whatever is left out then. */
export const packSaved: Pack = async (tag, image, skip, signal) => {
  const { entries, layers } = await once(saved, `${image.imageId} ${tag}`, () => saveImage(tag, signal));
  const left = new Set(layers.slice(0, skip));
  // The same file may be a layer twice: what is needed above stays.
  for (const needed of layers.slice(skip)) left.delete(needed);
  const kept = entries.filter(({ header }) => !left.has(header.name));
  return packArchive(kept, signal);
};

const isFull = (thrown: unknown): boolean => (thrown as NodeJS.ErrnoException).code === "ENOSPC";

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

/** manifest.json of `docker save`, in the old layout and in OCI's alike: the layers' files in their order. */
const Manifest = z.tuple([z.object({ Layers: z.array(z.string()) })]);

/** `docker save`, in one file whose parts can be read by name. */
async function saveImage(tag: string, signal: AbortSignal): Promise<SavedImage> {
  const file = await NamelessFile.open();
  const entries: ArchiveEntry[] = [];
  let layers: string[] = [];
  let end = 0;
  const tar = extract();
  const index = async (): Promise<void> => {
    for await (const entry of tar) {
      const { header } = entry;
      const [start, bytes] = [end, header.size];
      await pipeline(entry, file.write(start));
      end += bytes;
      const content = (): Readable => file.read(start, bytes);
      entries.push(bytes > 0 ? { header, content } : { header });
      if (header.name === "manifest.json")
        layers = Manifest.parse(JSON.parse((await buffer(content())).toString("utf8")))[0].Layers;
    }
  };
  try {
    const docker = startHere(["docker", "save", "--", tag], signal);
    await Promise.all([pipeline(docker.stdout, tar, { signal }), index(), docker.ended]);
    if (layers.length === 0) throw new ConvocateError("BAD_ARCHIVE", `docker save ${tag} wrote no list of layers`);
    return { entries, layers };
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
}
