import { chmod, chown, unlink } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import type { Log } from "../../protocol/log.js";
import { readLines } from "../../protocol/ndjson.js";
import type { Clock } from "../clock.js";
import { isMissing } from "../../protocol/files.js";
import { Rate } from "./rate.js";
import { MAX_TOLD_BYTES, parseTold, type Told } from "./told.js";

/** A CLI that runs tools as fast as it can tells about ten lines a second. */
const RATE = { burst: 200, perSecond: 40 };
/** How long a session that told more than that is not listened to. */
const DEAF_MS = 5_000;
const MAX_CONNECTIONS = 16;
/** A line is told at once or not at all. */
const CONNECTION_MS = 5_000;

export interface EarOptions {
  path: string;
  owner: { uid: number; gid: number };
  clock: Clock;
  /** With the session in it. */
  log: Log;
  heard: (told: Told) => void;
  /** Listens again after it did not for a while. */
  missed: () => void;
}

/**
 * Listens on the socket of one session. A session that tells too much is not listened to for a while: its connections are
 * refused by the kernel then, and cost the agent nothing.
 */
export class Ear implements AsyncDisposable {
  readonly #with: EarOptions;
  readonly #rate: Rate;
  readonly #stop = new AbortController();
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  #complainedOf = new Set<string>();

  private constructor(options: EarOptions) {
    this.#with = options;
    this.#rate = new Rate(options.clock, RATE);
  }

  /** Opens the socket; one that an earlier agent left is replaced. Throws what node:net and node:fs throw. */
  static async open(options: EarOptions): Promise<Ear> {
    const ear = new Ear(options);
    await ear.#listen();
    return ear;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#shut();
  }

  async #listen(): Promise<void> {
    const { path, owner } = this.#with;
    await unlink(path).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
    const server = createServer((socket) => void this.#serve(socket));
    server.maxConnections = MAX_CONNECTIONS;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(path, resolve);
    await promise;
    server.off("error", reject);
    server.on("error", (error) => this.#complain("its socket failed", { error: String(error) }));
    this.#server = server;
    await chmod(path, 0o600);
    await chown(path, owner.uid, owner.gid);
  }

  async #shut(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#server = null;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  async #serve(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on("error", () => undefined);
    const timer = setTimeout(() => socket.destroy(), CONNECTION_MS);
    try {
      for await (const item of readLines(socket, { maxBytes: MAX_TOLD_BYTES })) {
        if (!this.#rate.take()) {
          void this.#deaf();
          return;
        }
        const told = "line" in item ? parseTold(item.line) : null;
        if (told) this.#with.heard(told);
        else this.#complain("it told something that cannot be understood", { tooLong: "tooLong" in item });
      }
    } catch {
      // A session's process that is killed in the middle of a line has nothing more to tell.
    } finally {
      clearTimeout(timer);
      socket.destroy();
      this.#sockets.delete(socket);
    }
  }

  async #deaf(): Promise<void> {
    if (!this.#server) return;
    const { clock, missed } = this.#with;
    this.#complain("it tells too much, so it is not listened to for a while");
    try {
      await this.#shut();
      do await clock.sleep(DEAF_MS, this.#stop.signal);
      while (!(await this.#listens()));
      if (this.#stop.signal.aborted) await this.#shut();
      else missed();
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#complain("it is not listened to any more", { error: String(error) });
    }
  }

  /** False when that is not to be had now: the disk may be full, or too many files open. */
  async #listens(): Promise<boolean> {
    try {
      await this.#listen();
      return true;
    } catch (error) {
      this.#complain("it cannot be listened to", { error: String(error) });
      return false;
    }
  }

  /** Once of each kind: a session must not fill the agent's log. */
  #complain(what: string, more: Record<string, unknown> = {}): void {
    if (this.#complainedOf.has(what)) return;
    this.#complainedOf.add(what);
    this.#with.log.warn(more, `a session's hooks: ${what}`);
  }
}
