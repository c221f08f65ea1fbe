import type { Duplex } from "node:stream";
import { z } from "zod";
import { ConvocateError, toConvocateError, type ErrorCode } from "../../domain/index.js";
import { parseJson } from "../json.js";
import { Sparing, type Log } from "../log.js";
import { readLines, writeLine } from "../ndjson.js";
import { OPS, type Op, type OpParams, type RpcHandlers, type StreamHandlers, type StreamOp } from "./ops.js";

const Request = z.object({
  id: z.union([z.int(), z.string().max(64)]).optional(),
  op: z.string().max(64),
  params: z.unknown().optional(),
});

/** Requests of one channel that run at once; further ones wait unread, so a flood is held back at its sender. */
const MAX_IN_FLIGHT = 64;
/** From a request's first byte to its end: a megabyte over a slow line, and no more. */
const REQUEST_MS = 30_000;
/** A problem may quote what was sent. */
const MAX_PROBLEM_CHARACTERS = 200;

/**
 * Serves `convocate-agent-rpc` on one channel until its EOF, then waits for the answers still due. A bad line gets an error
 * with a code and harms no other; only a broken stream ends the channel. A request that one of `streams` serves is the
 * channel's last: the channel is its own from then on.
 */
export async function serveRpc(
  stream: Duplex,
  handlers: RpcHandlers,
  {
    log,
    streams = {},
    signal,
    requestTimeoutMs = REQUEST_MS,
  }: { log: Log; streams?: StreamHandlers; signal?: AbortSignal; requestTimeoutMs?: number },
): Promise<void> {
  const running = new Set<Promise<void>>();
  const sparing = new Sparing();
  // Each answer that waits for its reader has some listeners, which is no leak.
  stream.setMaxListeners(4 * MAX_IN_FLIGHT);
  const serve = (read: { line: string } | { tooLong: true } | { stalled: true }): void => {
    const answering: Promise<void> = answer(read)
      .then((response) => writeLine(stream, response))
      .catch((error: unknown) => log.info({ error: String(error) }, "answer not delivered"))
      .finally(() => running.delete(answering));
    running.add(answering);
  };
  const stall = { timeoutMs: requestTimeoutMs, onStall: () => serve({ stalled: true }) };
  for await (const read of readLines(stream, { stall, last: (line) => streamOf(line, streams) !== undefined })) {
    const taking = "line" in read ? streamOf(read.line, streams) : undefined;
    if (taking) {
      await Promise.all(running);
      await serveStream(stream, taking);
      return;
    }
    if ("line" in read && read.line.trim() === "") continue;
    serve(read);
    if (running.size >= MAX_IN_FLIGHT) await Promise.race(running);
  }
  await Promise.all(running);

  async function serveStream(channel: Duplex, serve: (channel: Duplex, signal: AbortSignal) => Promise<void>) {
    const gone = new AbortController();
    const onClose = (): void => gone.abort(new ConvocateError("CONNECTION_LOST", "the channel was closed"));
    channel.once("close", onClose);
    // the reader or writer hears it; without a listener a late one would end the process
    channel.on("error", () => undefined);
    try {
      // a connection that breaks closes the channel for its reader, but not for its writer
      await serve(channel, signal ? AbortSignal.any([gone.signal, signal]) : gone.signal);
    } catch (thrown) {
      await writeLine(channel, refusal(thrown)).catch((error: unknown) =>
        log.info({ error: String(error) }, "answer not delivered"),
      );
    } finally {
      channel.off("close", onClose);
    }
  }

  async function answer(read: { line: string } | { tooLong: true } | { stalled: true }): Promise<object> {
    let id: number | string | undefined;
    try {
      if ("stalled" in read)
        throw new ConvocateError("TIMEOUT", `a request did not end within ${requestTimeoutMs / 1000} s: send it again`);
      if ("tooLong" in read) throw new ConvocateError("LINE_TOO_LONG", "a request is one line of at most 1 MiB");
      const request = parseRequest(read.line);
      id = request.id;
      const result = await call(request.op, request.params ?? {}, handlers);
      return { ...(id === undefined ? {} : { id }), ok: true, result };
    } catch (thrown) {
      return { ...(id === undefined ? {} : { id }), ...refusal(thrown) };
    }
  }

  function refusal(thrown: unknown): { ok: false; code: ErrorCode; error: string } {
    const error = toConvocateError(thrown);
    if (error.code === "INTERNAL")
      log.error({ error: error.message, stack: thrown instanceof Error ? thrown.stack : undefined }, "request failed");
    else {
      const unlogged = sparing.next();
      if (unlogged) log.info({ code: error.code, error: error.message, ...unlogged }, "request refused");
    }
    return { ok: false, code: error.code, error: error.message };
  }
}

/** What serves this line's request when it takes the channel over; undefined for every other line. */
function streamOf(
  line: string,
  streams: StreamHandlers,
): ((channel: Duplex, signal: AbortSignal) => Promise<void>) | undefined {
  // Few lines are worth parsing twice.
  if (!line.includes('"begin"')) return undefined;
  let request: z.infer<typeof Request>;
  try {
    request = parseRequest(line);
  } catch {
    return undefined;
  }
  if (request.id !== undefined || !Object.hasOwn(streams, request.op)) return undefined;
  const op = request.op as StreamOp;
  const phase = z.object({ phase: z.literal("begin") }).safeParse(request.params);
  const handler = streams[op];
  if (!phase.success || !handler) return undefined;
  return async (channel, signal) => {
    const params = paramsOf(op, request.params) as OpParams<never>;
    await handler(params, channel, signal);
  };
}

function parseRequest(line: string): z.infer<typeof Request> {
  const request = Request.safeParse(parseJson(line, "the line"));
  if (!request.success)
    throw new ConvocateError("BAD_REQUEST", `not a request {"id":…,"op":"…","params":{…}}: ${problems(request.error)}`);
  return request.data;
}

async function call(name: string, params: unknown, handlers: RpcHandlers): Promise<unknown> {
  const op = name as Op;
  const handler = Object.hasOwn(OPS, name) && Object.hasOwn(handlers, name) ? handlers[op] : undefined;
  if (!handler) {
    throw new ConvocateError(
      "UNKNOWN_OP",
      `this agent does not know the op ${JSON.stringify(name)}: update it to the client's release`,
    );
  }
  // The map's type binds each op's params to its handler; that is lost when op is a union.
  return await (handler as (params: unknown) => Promise<unknown>)(paramsOf(op, params));
}

function paramsOf(op: Op, params: unknown): unknown {
  const parsed = OPS[op].params.safeParse(params);
  if (!parsed.success) throw new ConvocateError("BAD_PARAMS", `${op}: ${problems(parsed.error)}`);
  return parsed.data;
}

/** `path: problem; …`, three at most: the first ones are what must be mended first. What they quote is cut. */
export function problems(error: z.ZodError): string {
  return error.issues
    .slice(0, 3)
    .map((issue) => (issue.path.length > 0 ? `${issue.path.join(".")}: ${issue.message}` : issue.message))
    .map((text) => (text.length > MAX_PROBLEM_CHARACTERS ? `${text.slice(0, MAX_PROBLEM_CHARACTERS)}…` : text))
    .join("; ");
}
