import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { replyTo } from "./reply.js";
import { lastTurn, messagesRequest, type MessagesRequest } from "./request.js";
import { events, message, tokens } from "./stream.js";

export interface MessagesApiOptions {
  /** Port to listen on; 0, the default, takes a free one. */
  port?: number;
  /** Address to listen on; the default is loopback. Containers reach the machine's address on their bridge. */
  host?: string;
  /** Pause between two words of an answer. */
  wordDelayMs?: number;
  /** Largest body that is read, in bytes; the API's own limit is 32 MB. */
  maxBodyBytes?: number;
  /** Whether the request with this `authorization` header is from somebody who is logged in; any key will do when left out. */
  accepts?: (authorization: string | undefined) => boolean;
}

/** A prompt that arrived: the text that was typed, or what a tool gave back. Side requests (no tools) are not in it. */
export interface SeenTurn {
  atMs: number;
  kind: "prompt" | "tool-result";
  text: string;
}

export interface MessagesApi extends AsyncDisposable {
  readonly port: number;
  /** The last 1,000 turns, oldest first; over HTTP: GET /turns. */
  readonly turns: readonly SeenTurn[];
}

const MAX_TURNS = 1000;

/**
 * Starts a server that speaks as much of the Messages API as the Claude CLI needs to hold a conversation (see `replyTo` for
 * what a prompt can make it do). Test equipment: what ships meets it by ANTHROPIC_BASE_URL alone. Any key is accepted, and
 * none is kept. Rejects when the port cannot be had.
 */
export async function startMessagesApi(options: MessagesApiOptions = {}): Promise<MessagesApi> {
  const { port = 0, host = "127.0.0.1", wordDelayMs = 15, maxBodyBytes = 32 * 1024 * 1024 } = options;
  const turns: SeenTurn[] = [];
  const stopping = new AbortController();

  const server = createServer((request, response) => {
    handle(request, response).catch((cause: unknown) => {
      if (response.headersSent) response.destroy();
      else if (cause instanceof Refusal) sendError(response, cause);
      else sendError(response, new Refusal(500, "api_error", String(cause)));
    });
  });
  server.maxConnections = 500;
  server.requestTimeout = 60_000;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? "/", "http://server");
    const door = `${request.method ?? ""} ${pathname}`;
    switch (door) {
      case "HEAD /api/hello":
      case "GET /api/hello":
        response.end();
        return;
      case "GET /turns":
        sendJson(response, 200, turns);
        return;
      case "POST /v1/messages":
      case "POST /v1/messages/count_tokens":
        break;
      default:
        throw new Refusal(404, "not_found_error", `Nothing answers ${door}`);
    }
    if (!request.headers["x-api-key"] && !request.headers.authorization) {
      throw new Refusal(401, "authentication_error", "x-api-key header is required");
    }
    if (options.accepts && !options.accepts(request.headers.authorization)) {
      throw new Refusal(401, "authentication_error", "OAuth token has expired");
    }
    const body = await readBody(request, maxBodyBytes);
    const parsed = messagesRequest.safeParse(parseJson(body));
    if (!parsed.success) throw new Refusal(400, "invalid_request_error", parsed.error.message);
    if (pathname.endsWith("/count_tokens")) sendJson(response, 200, { input_tokens: tokens(body) });
    else await answer(parsed.data, tokens(body), response);
  }

  async function answer(request: MessagesRequest, inputTokens: number, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    const signal = AbortSignal.any([stopping.signal, gone.signal]);
    const pause = (ms: number) => (ms > 0 ? sleep(ms, undefined, { signal }) : undefined);

    if (request.tools?.length) remember(request);
    const reply = replyTo(request);
    try {
      await pause(reply.delayMs);
      if (reply.kind === "error") throw new Refusal(reply.status, reply.type, reply.message);
      if (request.stream !== true) {
        sendJson(response, 200, message(request.model, reply, inputTokens));
        return;
      }
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
      for (const event of events(request.model, reply, inputTokens)) {
        const taken = response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
        if (!taken) await once(response, "drain", { signal });
        if (event.type === "content_block_delta") await pause(wordDelayMs);
      }
      response.end();
    } catch (cause) {
      // The reader went away (Esc in the CLI does that) or we are being closed: nobody is left to tell.
      if (!signal.aborted) throw cause;
      response.destroy();
    }
  }

  function remember(request: MessagesRequest): void {
    const { kind, text } = lastTurn(request);
    turns.push({ atMs: Date.now(), kind, text });
    if (turns.length > MAX_TURNS) turns.shift();
  }

  server.listen(port, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    turns,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** An answer in the API's form of an error. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    message: string,
  ) {
    super(message);
  }
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw new Refusal(413, "request_too_large", `A request may have ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

function sendError(response: ServerResponse, { status, type, message: text }: Refusal): void {
  // What is left of a refused request is not read, so the connection cannot be used again.
  if (!response.req.complete) response.setHeader("connection", "close");
  sendJson(response, status, { type: "error", error: { type, message: text } });
}
