import { once } from "node:events";
import { addAbortSignal, type Readable, type Writable } from "node:stream";
import { ConvocateError } from "../domain/index.js";

/** A line longer than this is an error, not a message (SPEC 5.1). */
export const MAX_LINE_BYTES = 1024 * 1024;

/**
 * Lines of a byte stream, without their ends. A line over the limit is dropped as it comes, in bounded memory, and told as
 * `tooLong`. Ends at EOF (an unfinished last line counts); rejects when the stream is destroyed, as `signal` does.
 */
export async function* readLines(
  stream: Readable,
  { maxBytes = MAX_LINE_BYTES, signal }: { maxBytes?: number; signal?: AbortSignal } = {},
): AsyncGenerator<{ line: string } | { tooLong: true }> {
  if (signal) addAbortSignal(signal, stream);
  let parts: Buffer[] = [];
  let length = 0;
  let tooLong = false;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      length += end - start;
      if (tooLong || length > maxBytes) yield { tooLong: true };
      else
        yield {
          line:
            parts.length > 0
              ? Buffer.concat([...parts, chunk.subarray(start, end)]).toString("utf8")
              : chunk.toString("utf8", start, end),
        };
      parts = [];
      length = 0;
      tooLong = false;
      start = end + 1;
    }
    length += chunk.length - start;
    if (length > maxBytes) {
      tooLong = true;
      parts = [];
    } else if (start < chunk.length) parts.push(chunk.subarray(start));
  }
  if (tooLong) yield { tooLong: true };
  else if (length > 0) yield { line: Buffer.concat(parts).toString("utf8") };
}

/**
 * The first line of a stream whose rest is something else: what came after it in the same packet stays in the stream.
 * @throws ConvocateError LINE_TOO_LONG, TIMEOUT, or CONNECTION_LOST when the stream ended before the line did.
 */
export async function readFirstLine(
  stream: Readable,
  { maxBytes = 64 * 1024, timeoutMs = 20_000 } = {},
): Promise<string> {
  return await new Promise<string>((resolve, reject) => {
    let held = Buffer.alloc(0);
    const finish = (act: () => void): void => {
      clearTimeout(timer);
      stream.off("readable", onReadable);
      stream.off("end", onEnd);
      stream.off("close", onEnd);
      act();
    };
    const timer = setTimeout(
      () => finish(() => reject(new ConvocateError("TIMEOUT", `no header line came within ${timeoutMs / 1000} s`))),
      timeoutMs,
    );
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
