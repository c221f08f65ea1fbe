import { createHash } from "node:crypto";
import { once } from "node:events";
import { Transform, type Duplex, type TransformCallback } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdCompress, createZstdDecompress } from "node:zlib";
import { ConvocateError, isErrorCode } from "../../domain/index.js";
import { MAX_FRAME_BYTES, readFrames, writeFrame, type Trailer } from "../../protocol/rpc/archive.js";
import { diskFull, firstComplaint, pack, unpack } from "../trees/tar.js";
import type { Tree } from "../trees/tree.js";

/** Counts and hashes what passes. */
class Meter extends Transform {
  bytes = 0;
  readonly #hash = createHash("sha256");

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.bytes += chunk.length;
    this.#hash.update(chunk);
    done(null, chunk);
  }

  sha256(): string {
    return this.#hash.digest("hex");
  }
}

export interface SendOptions {
  changing: boolean;
  owner?: { uid: number; gid: number };
  signal: AbortSignal;
  /** How long the peer may do nothing; for tests. */
  stallMs?: number;
}

export interface Sum {
  sha256: string;
  bytes: number;
}

/**
 * Sends a home less what is skipped, and answers with what was sent. `changing`: the session runs, and a file that changes or
 * vanishes meanwhile is no failure. `owner`: whose everything is to be. Throws IO_ERROR with tar's words, CONNECTION_LOST, TIMEOUT, or the signal's reason.
 */
export async function sendTree(
  stream: Duplex,
  home: string,
  tree: Pick<Tree, "skipped">,
  { changing, owner, signal, stallMs }: SendOptions,
): Promise<Sum> {
  const over = new AbortController();
  const tar = pack(home, tree, AbortSignal.any([signal, over.signal]), { changing, ...(owner && { owner }) });
  const meter = new Meter();
  const waits = { signal, ...(stallMs === undefined ? {} : { stallMs }) };
  try {
    await pipeline(
      tar.output,
      meter,
      createZstdCompress(),
      async (compressed: AsyncIterable<Buffer>) => {
        for await (const chunk of compressed)
          for (let at = 0; at < chunk.length; at += MAX_FRAME_BYTES)
            await writeFrame(
              stream,
              { payload: chunk.subarray(at, at + MAX_FRAME_BYTES), position: meter.bytes },
              waits,
            );
      },
      { signal },
    );
    const { exitCode, said } = await tar.done;
    if (exitCode !== 0 && !(changing && exitCode === 1))
      throw new ConvocateError("IO_ERROR", `${home} cannot be read whole: ${firstComplaint(said)}`);
    return { sha256: meter.sha256(), bytes: meter.bytes };
  } finally {
    over.abort();
  }
}

/**
 * Unpacks what comes into an empty folder and answers with the sender's trailer, once both ends' sums agree. Throws DISK_FULL,
 * BAD_ARCHIVE, the sender's error, CONNECTION_LOST, TIMEOUT, or the signal's reason.
 */
export async function receiveEntries(
  stream: Duplex,
  folder: string,
  { signal, stallMs }: { signal: AbortSignal; stallMs?: number },
): Promise<Extract<Trailer, { ok: true }>> {
  const over = new AbortController();
  const tar = unpack(folder, AbortSignal.any([signal, over.signal]));
  const meter = new Meter();
  const frames = readFrames(stream, { signal, ...(stallMs === undefined ? {} : { stallMs }) });
  const came: { trailer?: Trailer; error?: unknown } = {};
  async function* payloads(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        const next = await frames.next();
        if (next.done) came.trailer = next.value;
        // what was cut short on purpose is told here, not by the decompressor
        if (next.done && !next.value.ok)
          throw new ConvocateError(isErrorCode(next.value.code) ? next.value.code : "INTERNAL", next.value.error);
        if (next.done) return;
        yield next.value.payload;
      }
    } catch (error) {
      came.error = error;
      throw error;
    }
  }
  try {
    let broke: unknown;
    await pipeline(
      payloads(),
      createZstdDecompress(),
      meter,
      (plain: AsyncIterable<Buffer>) => feed(tar, folder, plain),
      {
        signal,
      },
    ).catch((error: unknown) => {
      broke = error ?? new ConvocateError("INTERNAL", "the archive broke off");
    });
    signal.throwIfAborted();
    if (came.error) throw came.error as Error;
    if (broke instanceof ConvocateError) throw broke;
    if (broke) throw new ConvocateError("BAD_ARCHIVE", "what came is no archive", { cause: broke });
    const { exitCode, said } = await tar.done;
    if (exitCode !== 0) throw tarError(folder, said);
  } finally {
    over.abort();
  }
  const { trailer } = came;
  if (!trailer?.ok) throw new ConvocateError("INTERNAL", "an archive without its end was taken");
  if (trailer.bytes !== meter.bytes || trailer.sha256 !== meter.sha256())
    throw new ConvocateError("BAD_ARCHIVE", "what came is not what was sent: its SHA-256 differs");
  return trailer;
}

/** Feeds tar, which may leave the padding after an archive's end unread; throws when it ended before that with an error. */
async function feed(tar: ReturnType<typeof unpack>, folder: string, plain: AsyncIterable<Buffer>): Promise<void> {
  const closed = once(tar.input, "close").then(
    () => true,
    () => true,
  );
  let open = true;
  for await (const chunk of plain) {
    if (open && !tar.input.destroyed && tar.input.write(chunk)) continue;
    if (open && !tar.input.destroyed) await Promise.race([closed, once(tar.input, "drain").catch(() => undefined)]);
    if (!open || !tar.input.destroyed) continue;
    open = false;
    // its own words say why, not the broken pipe
    const { exitCode, said } = await tar.done;
    if (exitCode !== 0) throw tarError(folder, said);
  }
  tar.input.end();
}

function tarError(folder: string, said: string): ConvocateError {
  const unreadable = `the home cannot be unpacked in ${folder}: ${firstComplaint(said)}`;
  return diskFull(folder, said) ?? new ConvocateError("BAD_ARCHIVE", unreadable);
}
