import { ConvocateError } from "../../domain/index.js";
import { FRAME, MAX_FRAME_BYTES } from "./header.js";

const HEAD_BYTES = 5;

export type Frame = { kind: "output"; data: Buffer } | { kind: "ack"; taken: number };

/** One output frame: 1 byte of kind, 4 of length, the bytes. */
export function encodeOutput(data: Buffer): Buffer {
  return frame(FRAME.output, data);
}

/** One acknowledgement: how many bytes of the input stream reached the session so far. */
export function encodeAck(taken: number): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64BE(BigInt(taken));
  return frame(FRAME.ack, payload);
}

function frame(kind: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(kind);
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

/** Cuts a byte stream into frames, whatever pieces it comes in. @throws ConvocateError BAD_REQUEST on a broken one. */
export class FrameDecoder {
  #held: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Frame[] {
    this.#held = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    const frames: Frame[] = [];
    let at = 0;
    while (this.#held.length - at >= HEAD_BYTES) {
      const kind = this.#held.readUInt8(at);
      const length = this.#held.readUInt32BE(at + 1);
      if (length > MAX_FRAME_BYTES)
        throw new ConvocateError("BAD_REQUEST", `a frame of ${length} bytes is no frame: the stream is broken`);
      if (this.#held.length - at < HEAD_BYTES + length) break;
      frames.push(decode(kind, this.#held.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length)));
      at += HEAD_BYTES + length;
    }
    this.#held = this.#held.subarray(at);
    return frames;
  }
}

function decode(kind: number, payload: Buffer): Frame {
  if (kind === FRAME.output) return { kind: "output", data: payload };
  if (kind === FRAME.ack && payload.length === 8) return { kind: "ack", taken: Number(payload.readBigUInt64BE()) };
  throw new ConvocateError(
    "BAD_REQUEST",
    `a frame of kind ${kind} with ${payload.length} bytes is not known: the stream is broken`,
  );
}
