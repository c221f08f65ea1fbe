import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { PassThrough, Readable } from "node:stream";
import { FrameDecoder, encodeAck, encodeOutput } from "./attach/framing.js";
import { readFirstLine, readLines } from "./ndjson.js";

/** `bytes` cut at `cuts`, as a network would. */
function pieces(bytes: Buffer, cuts: number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length)).filter((piece) => piece.length > 0);
}

test("lines come out the same however the bytes are cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string().map((s) => s.replaceAll("\n", ""))),
      fc.array(fc.nat()),
      async (lines, cuts) => {
        const stream = Readable.from(pieces(Buffer.from(lines.map((line) => `${line}\n`).join("")), cuts), {
          objectMode: false,
        });
        const read: unknown[] = [];
        for await (const one of readLines(stream)) read.push(one);
        expect(read).toEqual(lines.map((line) => ({ line })));
      },
    ),
  );
});

test("a line that is too long is dropped in bounded memory, and the next is whole", async () => {
  const stream = Readable.from([Buffer.alloc(100, 97), Buffer.alloc(100, 97), Buffer.from("\nnext\n")], {
    objectMode: false,
  });
  const read: unknown[] = [];
  for await (const one of readLines(stream, { maxBytes: 64 })) read.push(one);
  expect(read).toEqual([{ tooLong: true }, { line: "next" }]);
});

test("bytes that came with the header line stay in the stream", async () => {
  const stream = new PassThrough();
  stream.write('{"id":1}\nls -l\r');
  expect(await readFirstLine(stream)).toBe('{"id":1}');
  expect(stream.read()?.toString()).toBe("ls -l\r");
  stream.write("more");
  expect(stream.read()?.toString()).toBe("more");
});

test("a header that never ends, is too long, or is cut off is an error", async () => {
  const stream = new PassThrough();
  await expect(readFirstLine(stream, { timeoutMs: 20 })).rejects.toMatchObject({ code: "TIMEOUT" });
  stream.write("x".repeat(100));
  await expect(readFirstLine(stream, { maxBytes: 50 })).rejects.toMatchObject({ code: "LINE_TOO_LONG" });
  const cut = new PassThrough();
  cut.end("half");
  await expect(readFirstLine(cut)).rejects.toMatchObject({ code: "CONNECTION_LOST" });
});

test("frames come out the same however the bytes are cut", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.uint8Array(), fc.nat())), fc.array(fc.nat()), (items, cuts) => {
      const bytes = Buffer.concat(
        items.map((item) => (typeof item === "number" ? encodeAck(item) : encodeOutput(Buffer.from(item)))),
      );
      const decoder = new FrameDecoder();
      const frames = pieces(bytes, cuts).flatMap((piece) => decoder.push(piece));
      expect(frames).toEqual(
        items.map((item) =>
          typeof item === "number" ? { kind: "ack", taken: item } : { kind: "output", data: Buffer.from(item) },
        ),
      );
    }),
  );
});

test("a broken frame is an error, not a wait for gigabytes", () => {
  expect(() => new FrameDecoder().push(Buffer.from([0, 255, 255, 255, 255]))).toThrow("the stream is broken");
  expect(() => new FrameDecoder().push(Buffer.from([9, 0, 0, 0, 0]))).toThrow("is not known");
});
