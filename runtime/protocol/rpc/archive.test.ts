import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { duplexPair, PassThrough } from "node:stream";
import { MAX_FRAME_BYTES, readFrames, writeFrame, writeTrailer, type Frame, type Trailer } from "./archive.js";

const TRAILER: Trailer = { ok: true, sha256: "00", bytes: 3, tree_sha256: null, skipped: [], skipped_total: 0 };

async function readAll(stream: PassThrough, stallMs = 500): Promise<{ frames: Frame[]; trailer: Trailer }> {
  const reading = readFrames(stream, { stallMs });
  const frames: Frame[] = [];
  for (;;) {
    const next = await reading.next();
    if (next.done) return { frames, trailer: next.value };
    frames.push(next.value);
  }
}

test("whatever is framed comes out the same, however the bytes are cut on the way", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 }),
      fc.integer({ min: 1, max: 64 }),
      async (payloads, piece) => {
        const whole = new PassThrough();
        let position = 0;
        for (const payload of payloads) {
          position += payload.length;
          await writeFrame(whole, { payload: Buffer.from(payload), position });
        }
        await writeTrailer(whole, TRAILER);
        const bytes = whole.read() as Buffer;
        const pieces = new PassThrough();
        const reading = readAll(pieces);
        for (let at = 0; at < bytes.length; at += piece) pieces.write(bytes.subarray(at, at + piece));
        pieces.write("what follows");
        const { frames, trailer } = await reading;
        expect(frames.map(({ payload }) => [...payload])).toEqual(payloads.map((payload) => [...payload]));
        expect(trailer).toEqual(TRAILER);
        expect(String(pieces.read())).toBe("what follows");
      },
    ),
    { numRuns: 50 },
  );
});

test("an archive whose sender has left is read to its end, however slowly", async () => {
  const stream = new PassThrough();
  await writeFrame(stream, { payload: Buffer.from("home"), position: 4 });
  await writeTrailer(stream, TRAILER);
  stream.end();
  const reading = readFrames(stream, { stallMs: 500 });
  expect(await reading.next()).toMatchObject({ done: false, value: { position: 4 } });
  // All of it came in one piece, and the stream tells its end before the next frame is asked for.
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(stream.readableEnded).toBe(true);
  expect(await reading.next()).toEqual({ done: true, value: TRAILER });
});

test("a reader that is behind holds the writer back", async () => {
  const [from, to] = duplexPair();
  let written = 0;
  const writing = (async () => {
    for (; written < 100; written += 1) await writeFrame(from, { payload: Buffer.alloc(MAX_FRAME_BYTES), position: 0 });
    await writeTrailer(from, TRAILER);
  })();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(written).toBeLessThan(3);
  const reading = readFrames(to);
  while (!(await reading.next()).done);
  await writing;
  expect(written).toBe(100);
});

test.each([
  ["a frame that is too long", Buffer.from([0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
  ["a position beyond all numbers", Buffer.from([0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 0])],
  ["a last line that is no JSON", Buffer.concat([Buffer.alloc(12), Buffer.from("hello\n")])],
  ["a last line of the wrong shape", Buffer.concat([Buffer.alloc(12), Buffer.from('{"ok":true}\n')])],
])("%s is refused", async (_, bytes) => {
  const stream = new PassThrough();
  stream.write(bytes);
  await expect(readAll(stream)).rejects.toMatchObject({ code: "BAD_REQUEST" });
});

test("an archive that ends too early, one that goes silent and one that is aborted are told apart", async () => {
  const ends = new PassThrough();
  ends.end(Buffer.from([0, 0]));
  await expect(readAll(ends)).rejects.toMatchObject({ code: "CONNECTION_LOST" });
  await expect(readAll(new PassThrough(), 20)).rejects.toMatchObject({ code: "TIMEOUT" });
  const abort = new AbortController();
  const reading = readFrames(new PassThrough(), { signal: abort.signal }).next();
  abort.abort(new Error("enough"));
  await expect(reading).rejects.toThrow("enough");
});
