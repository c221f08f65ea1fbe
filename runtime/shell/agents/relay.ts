import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { ConvocateError, isErrorCode, toConvocateError } from "../../domain/index.js";
import { readFirstLine, writeLine } from "../../protocol/ndjson.js";
import { readFrames, writeFrame, writeTrailer, type Trailer } from "../../protocol/rpc/archive.js";
import { OPS, type OpInput, type OpResult, type StreamOp } from "../../protocol/rpc/ops.js";

/** A channel of the RPC that one transfer has for itself. */
export interface BulkChannel {
  stream: Duplex;
  close(): void;
}

/** How long an agent that broke the stream has to say why. */
const LAST_WORDS_MS = 2_000;

export async function ask<O extends StreamOp>(channel: BulkChannel, op: O, params: OpInput<O>): Promise<void> {
  await writeLine(channel.stream, { op, params });
}

/** The next answer on such a channel. @throws ConvocateError with the agent's code, CONNECTION_LOST, TIMEOUT, INTERNAL. */
export async function answer<O extends StreamOp>(
  channel: BulkChannel,
  op: O,
  { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
): Promise<OpResult<O>> {
  return understand(op, await readFirstLine(channel.stream, { timeoutMs, ...(signal ? { signal } : {}) }));
}

/**
 * Passes an archive on, frame by frame, and waits for what the taker says in the end. Only what the streams' own buffers hold
 * is in memory. @throws ConvocateError of the giver, of the taker, or of the way between.
 */
export async function relay(
  from: BulkChannel,
  to: BulkChannel,
  options: { onBytes: (bytes: number) => void; onSent: () => void; verifyMs: number; signal: AbortSignal },
): Promise<Extract<Trailer, { ok: true }>> {
  const { signal } = options;
  const over = new AbortController();
  const said = readFirstLine(to.stream, {
    timeoutMs: options.verifyMs,
    signal: AbortSignal.any([signal, over.signal]),
  }).then(
    (line) => ({ line }),
    (error: unknown) => ({ error }),
  );
  // The taker speaks before the end only to say that it takes no more.
  const stop = new AbortController();
  void said.then(() => stop.abort(new ConvocateError("CONNECTION_LOST", "the other agent takes no more")));
  const waits = { signal: AbortSignal.any([signal, stop.signal]) };
  try {
    const trailer = await pass(from, to, waits, options.onBytes);
    if (!trailer.ok) throw errorOf(trailer);
    options.onSent();
    const last = await said;
    if ("error" in last) throw toConvocateError(last.error, "CONNECTION_LOST");
    understand("import", last.line);
    return trailer;
  } catch (thrown) {
    signal.throwIfAborted();
    const late = sleep(LAST_WORDS_MS, null, { signal: over.signal }).catch(() => null);
    const last = await Promise.race([said, late]);
    if (last && "line" in last) understand("import", last.line);
    throw thrown;
  } finally {
    over.abort();
  }
}

async function pass(
  from: BulkChannel,
  to: BulkChannel,
  waits: { signal: AbortSignal },
  onBytes: (bytes: number) => void,
): Promise<Trailer> {
  const frames = readFrames(from.stream, waits);
  for (;;) {
    const next = await frames.next();
    if (next.done) {
      await writeTrailer(to.stream, next.value, waits);
      return next.value;
    }
    await writeFrame(to.stream, next.value, waits);
    onBytes(next.value.position);
  }
}

function understand<O extends StreamOp>(op: O, line: string): OpResult<O> {
  const value = parse(line);
  if (value?.ok === false) throw errorOf({ code: String(value.code), error: String(value.error) });
  const result = OPS[op].result.safeParse(value?.result);
  if (result.success) return result.data as OpResult<O>;
  throw new ConvocateError("INTERNAL", `the agent's answer to ${op} is not understood: update shell and agents`, {
    cause: result.error,
  });
}

function errorOf({ code, error }: { code: string; error: string }): ConvocateError {
  return new ConvocateError(isErrorCode(code) ? code : "INTERNAL", error);
}

function parse(line: string): { ok?: unknown; result?: unknown; code?: unknown; error?: unknown } | null {
  try {
    return JSON.parse(line) as ReturnType<typeof parse>;
  } catch {
    return null;
  }
}
