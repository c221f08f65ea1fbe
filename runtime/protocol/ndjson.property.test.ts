import { expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { PassThrough, Readable } from "node:stream";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { evilText, nested } from "../../test/support/hostile.js";
import { ConvocateError } from "../domain/index.js";
import { FrameDecoder } from "./attach/framing.js";
import { MAX_FRAME_BYTES } from "./attach/header.js";
import { MAX_DEPTH, parseJson } from "./json.js";
import { Sparing } from "./log.js";
import { readFirstLine, readLines } from "./ndjson.js";
import { parseAuthorizedKeys, parsePrivateKey, parsePublicKey } from "./ssh/keys.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

test("a text is read as JSON reads it, or refused; never is what is read deeper than the bound", () => {
  const text = fc.oneof(
    evilText(),
    fc.json({ maxDepth: 40 }),
    fc.nat({ max: 60 }).map(nested),
    fc.string({ unit: fc.constantFrom("[", "]", "{", "}", '"', "\\", ",", "1", ":") }),
  );
  fc.assert(
    fc.property(text, (one) => {
      let value: unknown;
      try {
        value = parseJson(one, "it");
      } catch (error) {
        expect(error).toMatchObject({ code: "BAD_REQUEST" });
        if (!(error as ConvocateError).message.includes("deep")) expect(() => void JSON.parse(one)).toThrow();
        return;
      }
      expect(value).toEqual(JSON.parse(one));
      expect(depthOf(value)).toBeLessThanOrEqual(MAX_DEPTH);
    }),
    { numRuns: 1000 },
  );
  expect(() => parseJson(nested(MAX_DEPTH), "it")).not.toThrow();
  expect(() => parseJson(nested(MAX_DEPTH + 1), "it")).toThrow(/deep/);
  expect(parseJson(JSON.stringify({ text: '[[[["\\'.repeat(100) }), "it")).toEqual({ text: '[[[["\\'.repeat(100) });
});

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

test("lines and overlong lines come in their order, however the bytes are cut, and none is told twice", async () => {
  const line = fc.oneof(fc.string({ maxLength: 20 }), fc.string({ minLength: 17, maxLength: 200 }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(line.map((text) => text.replaceAll("\n", ""))),
      fc.array(fc.nat()),
      async (lines, cuts) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""));
        const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
        const pieces = [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
        const stream = Readable.from(
          pieces.filter((piece) => piece.length > 0),
          { objectMode: false },
        );
        const read: unknown[] = [];
        for await (const one of readLines(stream, { maxBytes: 16 })) read.push(one);
        expect(read).toEqual(lines.map((text) => (Buffer.byteLength(text) > 16 ? { tooLong: true } : { line: text })));
      },
    ),
  );
});

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Bytes that are still reachable: garbage that nobody has collected yet says nothing about what is held. */
function held(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test("a line in many pieces holds no more than the line", async () => {
  const before = held();
  let most = 0;
  // In object mode each piece arrives alone, as from a peer that sends them singly.
  const pieces = async function* () {
    for (let i = 1; i <= 250_000; i += 1) {
      yield Buffer.alloc(1, "x");
      if (i % 25_000 !== 0) continue;
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, held() - before);
    }
    yield Buffer.from("\n");
  };
  const { value } = await readLines(Readable.from(pieces(), { objectMode: true }), { maxBytes: 300_000 }).next();
  expect(value).toEqual({ line: "x".repeat(250_000) });
  expect(most).toBeLessThan(24 * 1024 * 1024); // pieces that are all kept hold 50 MB, as was measured
});

test("a header line is read or refused with a code, and never more of it is held than the bound", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      const stream = new PassThrough();
      stream.end(bytes);
      try {
        const line = await readFirstLine(stream, { maxBytes: 64, timeoutMs: 1000 });
        expect(Buffer.byteLength(line)).toBeLessThanOrEqual(64 * 3);
      } catch (error) {
        expect(["LINE_TOO_LONG", "CONNECTION_LOST"]).toContain((error as ConvocateError).code);
      }
      stream.destroy();
    }),
  );
});

test("bytes that are no frames are refused with a code, and none are waited for beyond the largest frame", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 })), (chunks) => {
      const decoder = new FrameDecoder();
      try {
        for (const chunk of chunks)
          for (const frame of decoder.push(Buffer.from(chunk)))
            if (frame.kind === "output") expect(frame.data.length).toBeLessThanOrEqual(MAX_FRAME_BYTES);
      } catch (error) {
        expect(error).toMatchObject({ code: "BAD_REQUEST" });
      }
    }),
  );
});

test("a key is an ed25519 key or refused, and the message never holds what was given", () => {
  const line = fc.oneof(
    evilText(),
    fc.base64String().map((text) => `ssh-ed25519 ${text} x`),
    fc
      .uint8Array({ minLength: 51, maxLength: 51 })
      .map((bytes) => `ssh-ed25519 ${Buffer.from(bytes).toString("base64")}`),
  );
  fc.assert(
    fc.property(line, (text) => {
      for (const parse of [parsePublicKey, parsePrivateKey]) {
        try {
          parse(text);
        } catch (error) {
          expect(error).toMatchObject({ code: "BAD_REQUEST" });
          if (text.length > 20) expect((error as Error).message).not.toContain(text);
        }
      }
      for (const key of parseAuthorizedKeys(text).values()) expect(key.blob).toHaveLength(51);
    }),
  );
});

test("what a peer causes at will is logged ten times, then once in six seconds with how many were not", () => {
  let now = 0;
  const sparing = new Sparing(() => now);
  const said = Array.from({ length: 30 }, () => sparing.next()).filter((one) => one !== null);
  expect(said).toHaveLength(10);
  now += 6_000;
  expect(sparing.next()).toEqual({ unlogged: 20 });
  expect(sparing.next()).toBeNull();
  now += 3_600_000;
  expect(Array.from({ length: 30 }, () => sparing.next()).filter((one) => one !== null)).toHaveLength(10);
});
