import { z } from "zod";
import { ERROR_CODES, SessionId, type ErrorCode } from "../../domain/index.js";

/**
 * First line of `convocate-agent-attach` (SPEC 5.2). `stream` asks for the framed mode on top: it names the input's byte
 * stream, so that a client that comes back after a broken connection learns how many bytes the agent has taken of it.
 */
export const AttachHeader = z.object({
  id: SessionId,
  cols: z.int().min(1).max(4096),
  rows: z.int().min(1).max(4096),
  mode: z.enum(["rw", "ro"]).default("rw"),
  term: z
    .string()
    .regex(/^[A-Za-z0-9+._-]{1,64}$/)
    .default("xterm-256color"),
  stream: z.uuid().optional(),
});
export type AttachHeader = z.infer<typeof AttachHeader>;

const code = z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]).catch("INTERNAL");

/**
 * The agent's one line. In framed mode `taken` is the number of input bytes of `stream` that reached the session, null
 * when the agent does not know the stream (a new one, or the agent was restarted).
 *
 * Framed mode from then on: client to agent stays raw bytes (their offset in the stream is their number); agent to client
 * comes in frames, 1 byte of kind, 4 bytes of length (big endian), payload: kind 0 output, kind 1 acknowledgement (8 bytes,
 * big endian: input bytes taken so far).
 */
export const AttachReply = z.discriminatedUnion("ok", [
  z.object({ ok: z.literal(true), taken: z.int().min(0).nullable().optional() }),
  z.object({ ok: z.literal(false), code, error: z.string() }),
]);
export type AttachReply = z.infer<typeof AttachReply>;

export const FRAME = { output: 0, ack: 1 } as const;
/** A longer frame is a broken peer. */
export const MAX_FRAME_BYTES = 1024 * 1024;
