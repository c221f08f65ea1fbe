import type { Readable, Writable } from "node:stream";
import { z } from "zod";
import { ConvocateError } from "../../domain/index.js";
import { writeLine } from "../ndjson.js";

/** One frame carries at most so much. */
export const MAX_FRAME_BYTES = 256 * 1024;
/** A peer that takes or sends nothing for so long is gone. */
const STALL_MS = 60_000;

const HEADER_BYTES = 12;
/** A trailer names 100 skipped files at most, of 4 KiB each. */
const MAX_LINE_BYTES = 1024 * 1024;

/** What a clone or an export left out, relative to the home; paths that are not UTF-8 are shown as Latin-1. */
export const Skipped = z.object({ path: z.string(), kind: z.enum(["socket", "fifo", "device"]) });
export type Skipped = z.infer<typeof Skipped>;

/**
 * The line after an archive. `sha256` and `bytes` are of the archive before compression; `tree_sha256` is of the home itself
 * (agent/trees/tree.ts), null when the session ran meanwhile and so stood for no one state. At most 100 skipped files
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
  const reader = new Reader(stream, waits);
  for (;;) {
    const header = await reader.exactly(HEADER_BYTES);
    const length = header.readUInt32BE(0);
    const position = header.readBigUInt64BE(4);
    if (length > MAX_FRAME_BYTES || position > Number.MAX_SAFE_INTEGER)
      throw new ConvocateError("BAD_REQUEST", "this is no archive: a frame is too long");
    if (length === 0) break;
    yield { payload: await reader.exactly(length), position: Number(position) };
  }
  const trailer = Trailer.safeParse(parse(await reader.line()));
  reader.giveBack();
  if (!trailer.success) throw new ConvocateError("BAD_REQUEST", "this is no archive: its last line is not understood");
  return trailer.data;
}

/**
 * Takes whatever the stream has each time, never `read(n)`: an ssh2 channel opens its window again only when its buffer is
 * emptied, so that waiting for more than what is buffered could wait for ever. Holds a frame and one such buffer at most.
 */
class Reader {
  #held: Buffer = Buffer.alloc(0);

  constructor(
    readonly stream: Readable,
    readonly waits: Waits,
  ) {}

  async exactly(bytes: number): Promise<Buffer> {
    const pieces: Buffer[] = [this.#held];
    let length = this.#held.length;
    while (length < bytes) {
      const chunk = await this.#chunk();
      pieces.push(chunk);
      length += chunk.length;
    }
    const all = pieces.length === 1 ? this.#held : Buffer.concat(pieces);
    this.#held = all.subarray(bytes);
    return all.subarray(0, bytes);
  }

  /**
   * Up to the next line feed. Not from the stream, which may have told its end while what it gave was still held here: then
   * nothing can be put back, and nobody would say that nothing comes.
   */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#held.indexOf(10);
      if (end > MAX_LINE_BYTES || (end === -1 && this.#held.length > MAX_LINE_BYTES))
        throw new ConvocateError("BAD_REQUEST", "this is no archive: its last line is too long");
      if (end === -1) {
        this.#held = Buffer.concat([this.#held, await this.#chunk()]);
        continue;
      }
      const line = this.#held.toString("utf8", 0, end);
      this.#held = this.#held.subarray(end + 1);
      return line;
    }
  }

  async #chunk(): Promise<Buffer> {
    for (;;) {
      this.waits.signal?.throwIfAborted();
      const chunk = this.stream.read() as Buffer | null;
      if (chunk) return chunk;
      if (this.stream.readableEnded || this.stream.destroyed) throw lost();
      await oneOf(this.stream, ["readable", "end"], this.waits);
    }
  }

  /** What was read too far is the stream's again. */
  giveBack(): void {
    if (this.#held.length > 0 && !this.stream.readableEnded) this.stream.unshift(this.#held);
    this.#held = Buffer.alloc(0);
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
