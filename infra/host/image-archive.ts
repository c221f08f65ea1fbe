import { createHash } from "node:crypto";
import { Transform, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress } from "node:zlib";
import { pack as packTar, type Header, type Pack } from "tar-stream";
import { NamelessFile } from "./nameless-file.js";

/** One entry of an archive for `docker load`, wherever its bytes come from. */
export interface ArchiveEntry {
  header: Partial<Header> & Pick<Header, "name">;
  /** A link or a folder has none. */
  content?: () => AsyncIterable<Buffer>;
}

/** An archive for `docker load`, packed with zstd. */
export interface PackedImage {
  /** Reads it from the start, as often as one likes and side by side. */
  read(): Readable;
  /** Of the packed bytes. */
  sha256: string;
  /** Packed. */
  bytes: number;
  /** What it unpacks to. */
  rawBytes: number;
}

/** Packs entries, in a file that stays as long as this process does. */
export async function packArchive(entries: readonly ArchiveEntry[], signal: AbortSignal): Promise<PackedImage> {
  const file = await NamelessFile.open();
  const [raw, small] = [meter(), meter()];
  const packer = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } });
  const tar = packTar();
  try {
    await Promise.all([
      fill(tar, entries, signal).catch((thrown: unknown) => {
        tar.destroy(thrown instanceof Error ? thrown : undefined);
        throw thrown;
      }),
      pipeline(tar, raw.stream, packer, small.stream, file.write(0), { signal }),
    ]);
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
  const bytes = small.bytes();
  return { read: () => file.read(0, bytes), sha256: small.sha256(), bytes, rawBytes: raw.bytes() };
}

async function fill(tar: Pack, entries: readonly ArchiveEntry[], signal: AbortSignal): Promise<void> {
  for (const { header, content } of entries) {
    // It writes into the header that it is given.
    const entry = tar.entry({ ...header });
    if (content) await pipeline(content(), entry, { signal });
  }
  tar.finalize();
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
