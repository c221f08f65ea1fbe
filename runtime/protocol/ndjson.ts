import { once } from "node:events";
import { addAbortSignal, type Readable, type Writable } from "node:stream";
import { ConvocateError } from "../domain/index.js";

/** A line longer than this is an error, not a message (SPEC 5.1). */
export const MAX_LINE_BYTES = 1024 * 1024;

/** A line may come in as many pieces as it has bytes; beyond so many they are put together, since each costs memory. */
const MAX_PIECES = 256;

/** A line whose end has not come yet. */
class Begun {
  #pieces: Buffer[] = [];
  #length = 0;
  #dropped = false;

  /** Its bytes so far, also those that were dropped. */
  get length(): number {
    return this.#length;
  }

  /** What is left of it is nobody's. */
  get dropped(): boolean {
    return this.#dropped;
  }

  add(piece: Buffer): void {
    this.#length += piece.length;
    if (this.#dropped) return;
    this.#pieces.push(piece);
    if (this.#pieces.length > MAX_PIECES) this.#pieces = [Buffer.concat(this.#pieces)];
  }

  drop(): void {
    this.#dropped = true;
    this.#pieces = [];
  }

  text(): string {
    const [first, ...more] = this.#pieces;
    return first && more.length === 0 ? first.toString("utf8") : Buffer.concat(this.#pieces).toString("utf8");
  }
}

/**
 * Lines of a byte stream, without their ends. A line over the limit is told as `tooLong` as soon as it is, and dropped as it
 * comes, in bounded memory. Ends at EOF (an unfinished last line counts); rejects when the stream is destroyed, as `signal`
 * does. With `stall`, a line that was begun and is not ended in time is dropped, too, and told by `onStall`. A
 * line for which `last` is true ends it too: what comes after that line stays in the stream, for somebody else to read.
 */
export async function* readLines(
  stream: Readable,
  {
    maxBytes = MAX_LINE_BYTES,
    signal,
    stall,
    last,
  }: {
    maxBytes?: number;
    signal?: AbortSignal;
    stall?: { timeoutMs: number; onStall: () => void };
    last?: (line: string) => boolean;
  } = {},
): AsyncGenerator<{ line: string } | { tooLong: true }> {
  if (signal) addAbortSignal(signal, stream);
  let line = new Begun();
  let timer: NodeJS.Timeout | undefined;
  try {
    const chunks = last ? stream.iterator({ destroyOnReturn: false }) : stream;
    for await (const chunk of chunks as AsyncIterable<Buffer>) {
      let start = 0;
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
        line.add(chunk.subarray(start, end));
        if (!line.dropped) {
          const read = line.length > maxBytes ? ({ tooLong: true } as const) : { line: line.text() };
          yield read;
          if ("line" in read && last?.(read.line)) {
            if (end + 1 < chunk.length) stream.unshift(chunk.subarray(end + 1));
            return;
          }
        }
        line = new Begun();
        clearTimeout(timer);
        timer = undefined;
        start = end + 1;
      }
      if (start < chunk.length) line.add(chunk.subarray(start));
      if (line.dropped || line.length === 0) continue;
      if (line.length > maxBytes) {
        line.drop();
        clearTimeout(timer);
        yield { tooLong: true };
      } else if (stall) {
        const late = line;
        timer ??= setTimeout(() => {
          late.drop();
          stall.onStall();
        }, stall.timeoutMs);
      }
    }
    if (!line.dropped && line.length > 0) yield { line: line.text() };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The first line of a stream whose rest is something else: what came after it in the same packet stays in the stream.
 * @throws ConvocateError LINE_TOO_LONG, TIMEOUT, or CONNECTION_LOST when the stream ended before the line did.
 */
export async function readFirstLine(
  stream: Readable,
  {
    maxBytes = 64 * 1024,
    timeoutMs = 20_000,
    signal,
  }: { maxBytes?: number; timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<string> {
  signal?.throwIfAborted();
  return await new Promise<string>((resolve, reject) => {
    let held = Buffer.alloc(0);
    const finish = (act: () => void): void => {
      clearTimeout(timer);
      stream.off("readable", onReadable);
      stream.off("end", onEnd);
      stream.off("close", onEnd);
      signal?.removeEventListener("abort", onAbort);
      act();
    };
    const timer = setTimeout(
      () => finish(() => reject(new ConvocateError("TIMEOUT", `no header line came within ${timeoutMs / 1000} s`))),
      timeoutMs,
    );
    const onAbort = (): void => finish(() => reject(signal?.reason as Error));
    signal?.addEventListener("abort", onAbort, { once: true });
    const onEnd = (): void =>
      finish(() => reject(new ConvocateError("CONNECTION_LOST", "the stream ended before its header line")));
    const onReadable = (): void => {
      for (let chunk = stream.read() as Buffer | null; chunk; chunk = stream.read() as Buffer | null) {
        held = Buffer.concat([held, chunk]);
        const end = held.indexOf(10);
        if (end > maxBytes || (end === -1 && held.length > maxBytes)) {
          finish(() => reject(new ConvocateError("LINE_TOO_LONG", `the header line is over ${maxBytes} bytes`)));
          return;
        }
        if (end === -1) continue;
        const rest = held.subarray(end + 1);
        finish(() => {
          if (rest.length > 0) stream.unshift(rest);
          resolve(held.toString("utf8", 0, end));
        });
        return;
      }
    };
    stream.on("readable", onReadable);
    stream.once("end", onEnd);
    stream.once("close", onEnd);
    onReadable();
    // Told before we listened: nobody would tell again.
    if (stream.readableEnded || stream.destroyed) onEnd();
  });
}

/** Writes one JSON line and waits while the reader is behind. Rejects with CONNECTION_LOST when the stream is gone. */
export async function writeLine(stream: Writable, value: unknown): Promise<void> {
  if (stream.destroyed || stream.writableEnded) throw new ConvocateError("CONNECTION_LOST", "the stream is closed");
  if (stream.write(`${JSON.stringify(value)}\n`)) return;
  const over = new AbortController();
  try {
    await Promise.race([
      once(stream, "drain", { signal: over.signal }),
      once(stream, "close", { signal: over.signal }).then(() => {
        throw new ConvocateError("CONNECTION_LOST", "the stream closed while it was written to");
      }),
    ]);
  } finally {
    // the listener of the one that did not come
    over.abort();
  }
}
