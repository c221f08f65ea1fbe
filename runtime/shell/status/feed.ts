import { chmodSync, chownSync, mkdirSync, unlinkSync } from "node:fs";
import { createServer, connect, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { ConvocateError, type FeedLine } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { readLines, writeLine } from "../../protocol/ndjson.js";

/** Unread bytes after which a reader is cut off; it connects again and starts from a fresh snapshot. */
const READER_BUFFER_BYTES = 4 * 1024 * 1024;
const MAX_READERS = 32;
const MAX_REQUEST_BYTES = 4096;

/** The live feed on a unix socket: a snapshot, then what changes. Whoever may open the socket may read it, and ask. */
export class Feed implements AsyncDisposable {
  readonly #server: Server;
  readonly #path: string;
  readonly #readers: Set<Socket>;
  readonly #log: Log;
  readonly #bufferBytes: number;

  private constructor(server: Server, path: string, readers: Set<Socket>, log: Log, bufferBytes: number) {
    this.#server = server;
    this.#path = path;
    this.#readers = readers;
    this.#log = log;
    this.#bufferBytes = bufferBytes;
  }

  /**
   * Listens on `path` with mode 0660 and the given group (null leaves the process's own). A socket left over from a killed
   * process is replaced; one that somebody still serves is an error (REFUSED).
   */
  static async listen(options: {
    path: string;
    gid: number | null;
    snapshot: () => FeedLine;
    /** Answers a line that a reader sent. */
    answer: (line: string) => AsyncIterable<FeedLine>;
    log: Log;
    bufferBytes?: number;
  }): Promise<Feed> {
    const { path, gid, log } = options;
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    await removeStale(path);
    const readers = new Set<Socket>();
    const server = createServer((socket) => {
      if (readers.size >= MAX_READERS) {
        log.warn({ readers: readers.size }, "too many readers of the status feed");
        socket.destroy();
        return;
      }
      readers.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => readers.delete(socket));
      socket.write(encode(options.snapshot()));
      void answerAll(socket, options.answer);
    });
    // Nobody may connect between listen and chmod; listen on a path makes the socket before it returns.
    const before = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(path, resolve);
      });
    } catch (cause) {
      throw new ConvocateError("IO_ERROR", `cannot listen on ${path}: ${String(cause)}`, { cause });
    } finally {
      process.umask(before);
    }
    if (gid !== null) chownSync(path, -1, gid);
    chmodSync(path, 0o660);
    return new Feed(server, path, readers, log, options.bufferBytes ?? READER_BUFFER_BYTES);
  }

  get readers(): number {
    return this.#readers.size;
  }

  publish(line: FeedLine): void {
    if (this.#readers.size === 0) return;
    const text = encode(line);
    for (const socket of this.#readers) {
      socket.write(text);
      if (socket.writableLength <= this.#bufferBytes) continue;
      this.#log.warn({ unreadBytes: socket.writableLength }, "cut off a reader of the status feed that is too slow");
      this.#readers.delete(socket);
      socket.destroy();
    }
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#readers) socket.destroy();
    await closed;
    try {
      unlinkSync(this.#path);
    } catch {
      // Node has removed it with the server.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** One request after the other, each answer once the reader has taken the last one; ends with the reader. */
async function answerAll(socket: Socket, answer: (line: string) => AsyncIterable<FeedLine>): Promise<void> {
  try {
    for await (const item of readLines(socket, { maxBytes: MAX_REQUEST_BYTES })) {
      if ("line" in item) for await (const line of answer(item.line)) await writeLine(socket, line);
      else await writeLine(socket, { kind: "error", error: `a request is over ${MAX_REQUEST_BYTES} bytes` });
    }
  } catch {
    // It is gone; what ends a reader is its own business.
  }
}

function encode(line: FeedLine): string {
  return `${JSON.stringify(line)}\n`;
}

async function removeStale(path: string): Promise<void> {
  const answer = await new Promise<string | undefined>((resolve) => {
    const socket = connect(path);
    socket.on("connect", () => {
      socket.destroy();
      resolve("alive");
    });
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  if (answer === "ENOENT") return;
  if (answer === "alive")
    throw new ConvocateError("REFUSED", `another convocate-status serves ${path} already; stop it first`);
  unlinkSync(path);
}
