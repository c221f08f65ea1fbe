import type { Readable, Writable } from "node:stream";
import { z } from "zod";
import { ConvocateError } from "../../domain/index.js";
import { readFirstLine, writeLine } from "../ndjson.js";

/** One frame carries at most so much. */
export const MAX_FRAME_BYTES = 256 * 1024;
/** A peer that takes or sends nothing for so long is gone. */
export const STALL_MS = 60_000;

const HEADER_BYTES = 12;

/** What a clone or an export left out, relative to the home; paths that are not UTF-8 are shown as Latin-1. */
export const Skipped = z.object({ path: z.string(), kind: z.enum(["socket", "fifo", "device"]) });
export type Skipped = z.infer<typeof Skipped>;

/**
 * The line after an archive. `sha256` and `bytes` are of the archive before compression; `tree_sha256` is of the home itself
 * (agent/transfer/tree.ts), null when the session ran meanwhile and so stood for no one state. At most 100 skipped files
 * are named.
 */
export const Trailer = z.discriminatedUnion("ok", [
  z.object({
    ok: z.literal(true),
    sha256: z.string(),
    bytes: z.int().min(0),
    tree_sha256: z.string().nullable(),
    skipped: z.array(Skipped),
    skipped_total: z.int().min(0),
  }),
  z.object({ ok: z.literal(false), code: z.string(), error: z.string() }),
]);
export type Trailer = z.infer<typeof Trailer>;

/**
 * A piece of an archive on its way (SPEC 5.1, `export` and `import`): 4 bytes its length, 8 bytes `position`, both
 * big-endian, then the piece, compressed. `position` says how many bytes of the uncompressed archive went in so far, for
 * whoever shows progress. A length of 0 ends the archive, and one JSON line follows, the trailer.
 */
export interface Frame {
  payload: Buffer;
  position: number;
}

interface Waits {
  stallMs?: number;
  signal?: AbortSignal;
}

/** Writes a frame and waits while the reader is behind. Throws CONNECTION_LOST, TIMEOUT. */
export async function writeFrame(stream: Writable, frame: Frame, waits: Waits = {}): Promise<void> {
  if (frame.payload.length > MAX_FRAME_BYTES) throw new ConvocateError("INTERNAL", "a frame is too long");
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(frame.payload.length, 0);
  header.writeBigUInt64BE(BigInt(frame.position), 4);
  waits.signal?.throwIfAborted();
  if (stream.destroyed || stream.writableEnded) throw lost();
  if (stream.write(Buffer.concat([header, frame.payload]))) return;
  await oneOf(stream, ["drain"], waits);
}

/** Ends an archive. */
export async function writeTrailer(stream: Writable, trailer: Trailer, waits: Waits = {}): Promise<void> {
  await writeFrame(stream, { payload: Buffer.alloc(0), position: 0 }, waits);
  await writeLine(stream, trailer);
}

/**
 * The frames of an archive; returns its trailer. What follows it stays in the stream. Throws CONNECTION_LOST when the stream
 * ends before the archive does, TIMEOUT when nothing comes, BAD_REQUEST when it is no archive.
 */
export async function* readFrames(stream: Readable, waits: Waits = {}): AsyncGenerator<Frame, Trailer> {
  for (;;) {
    const header = await readExactly(stream, HEADER_BYTES, waits);
    const length = header.readUInt32BE(0);
    const position = header.readBigUInt64BE(4);
    if (length > MAX_FRAME_BYTES || position > Number.MAX_SAFE_INTEGER)
      throw new ConvocateError("BAD_REQUEST", "this is no archive: a frame is too long");
    if (length === 0) break;
    yield { payload: await readExactly(stream, length, waits), position: Number(position) };
  }
  const line = await readFirstLine(stream, { timeoutMs: waits.stallMs ?? STALL_MS });
  const trailer = Trailer.safeParse(parse(line));
  if (!trailer.success) throw new ConvocateError("BAD_REQUEST", "this is no archive: its last line is not understood");
  return trailer.data;
}

async function readExactly(stream: Readable, bytes: number, waits: Waits): Promise<Buffer> {
  for (;;) {
    waits.signal?.throwIfAborted();
    const chunk = stream.read(bytes) as Buffer | null;
    if (chunk?.length === bytes) return chunk;
    if (chunk || stream.readableEnded || stream.destroyed) throw lost();
    await oneOf(stream, ["readable", "end"], waits);
  }
}

/** Waits for one of these events; the stream's end of life, or nothing at all for too long, is an error. */
async function oneOf(
  stream: Readable | Writable,
  events: readonly string[],
  { stallMs = STALL_MS, signal }: Waits,
): Promise<void> {
  let cleanUp = (): void => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const onEvent = (): void => resolve();
      const onClose = (): void => reject(lost());
      const onAbort = (): void => reject(signal?.reason as Error);
      const timer = setTimeout(
        () => reject(new ConvocateError("TIMEOUT", `the other side did nothing for ${stallMs / 1000} s`)),
        stallMs,
      );
      cleanUp = () => {
        clearTimeout(timer);
        for (const event of events) stream.off(event, onEvent);
        stream.off("close", onClose);
        stream.off("error", onClose);
        signal?.removeEventListener("abort", onAbort);
      };
      for (const event of events) stream.once(event, onEvent);
      stream.once("close", onClose);
      stream.once("error", onClose);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  } finally {
    cleanUp();
  }
}

function lost(): ConvocateError {
  return new ConvocateError("CONNECTION_LOST", "the connection ended before the archive did");
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
