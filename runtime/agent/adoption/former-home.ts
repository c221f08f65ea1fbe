import { createHash } from "node:crypto";
import { execFile } from "node:child_process";
import { lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { duplexPair, type Duplex } from "node:stream";
import { promisify } from "node:util";
import {
  ConvocateError,
  FORMER_SESSION_FILE,
  toConvocateError,
  type Portable,
  type SessionId,
} from "../../domain/index.js";
import { codeOf } from "../../protocol/files.js";
import { readFirstLine, writeLine } from "../../protocol/ndjson.js";
import type { OpResult } from "../../protocol/rpc/ops.js";
import { containerName } from "../containers/spec.js";
import type { Owner } from "../sessions/homes.js";
import { sendHome } from "../transfer/send.js";
import { walk } from "../trees/tree.js";
import { readFormer } from "./former.js";

const REQUEST_MS = 10_000;
const DOCKER_MS = 20_000;

export interface FormerHomeOptions {
  id: SessionId;
  /** The service user's home, which the session's directory is in. */
  home: string;
  /** The service user, whose everything is to be where it goes. */
  owner: Owner;
  /** Whether the session's container runs on this host. */
  runs?: (id: SessionId) => Promise<boolean>;
}

/**
 * A session of an earlier release that lies on this host (SPEC 6.7), as the sending side of a transfer: it answers `export`
 * as an agent does for a session of its own, and is never changed but by `remove`, less that its directory is closed to others.
 */
export class FormerHome {
  readonly name = "this host";
  readonly #with: FormerHomeOptions;

  constructor(options: FormerHomeOptions) {
    this.#with = options;
  }

  /**
   * Tells this directory from every other one of that session, so that a migration that was cut off is known again, and a
   * copy that was restored from a backup is none. @throws ConvocateError SESSION_NOT_FOUND when it is not there.
   */
  async stamp(): Promise<string> {
    const [folder, file] = await Promise.all(
      [this.path, join(this.path, FORMER_SESSION_FILE)].map((path) => lstat(path).catch(() => null)),
    );
    if (!folder || !file)
      throw new ConvocateError("SESSION_NOT_FOUND", `there is no session of an earlier release at ${this.path}`);
    return createHash("sha256")
      .update(JSON.stringify([this.path, folder.ino, file.ino, file.mtimeMs]))
      .digest("hex");
  }

  /** The one question that a copy asks: what there is. @throws ConvocateError REFUSED, SESSION_RUNNING. */
  async look(): Promise<Extract<OpResult<"export">, { state: "here" }>> {
    const session = await this.#read();
    return this.#here(session, (await walk(this.path)).bytes);
  }

  /** A channel as an agent's, which answers the `begin` of an export. */
  async open(signal: AbortSignal): Promise<{ stream: Duplex; close(): void }> {
    const [ours, theirs] = duplexPair();
    ours.once("close", () => theirs.destroy());
    theirs.once("close", () => ours.destroy());
    const over = new AbortController();
    ours.once("close", () => over.abort(new ConvocateError("CONNECTION_LOST", "the transfer was given up")));
    for (const end of [ours, theirs]) end.on("error", () => undefined);
    // What it throws, the other end has been told.
    void this.#serve(ours, AbortSignal.any([signal, over.signal])).catch(() => undefined);
    return { stream: theirs, close: () => theirs.destroy() };
  }

  /**
   * Takes the directory away. What tells that it is a session goes last: cut off, it is still one, and once more ends it.
   * @throws ConvocateError IO_ERROR.
   */
  async remove(): Promise<void> {
    try {
      for (const entry of await readdir(this.path))
        if (entry !== FORMER_SESSION_FILE) await rm(join(this.path, entry), { recursive: true, force: true });
      await rm(this.path, { recursive: true, force: true });
    } catch (cause) {
      throw new ConvocateError("IO_ERROR", `what is left at ${this.path} cannot be removed (${String(cause)})`, {
        cause,
      });
    }
  }

  get path(): string {
    return join(this.#with.home, this.#with.id);
  }

  async #serve(stream: Duplex, signal: AbortSignal): Promise<void> {
    try {
      // Its begin; whose it is was settled by who opened the channel.
      await readFirstLine(stream, { timeoutMs: REQUEST_MS, signal });
      const session = await this.#read();
      await sendHome(stream, this.path, (bytes) => this.#here(session, bytes), {
        changing: false,
        owner: this.#with.owner,
        signal,
      });
    } catch (thrown) {
      const { code, message } = toConvocateError(thrown);
      await writeLine(stream, { ok: false, code, error: message }).catch(() => undefined);
      throw thrown;
    }
  }

  /** What its file says; refused is what an agent would not adopt, and what runs. */
  async #read(): Promise<Portable> {
    const { id, home, runs = containerRuns } = this.#with;
    const name = containerName(id);
    if (await runs(id))
      throw new ConvocateError("SESSION_RUNNING", `its container runs on this host: \`docker stop ${name}\` first`);
    const found = await lstat(this.path).catch(() => null);
    if (!found) throw new ConvocateError("SESSION_NOT_FOUND", `there is no directory ${this.path}`);
    // Whosever it is: it becomes the service user's.
    const read = await readFormer(home, id, { uid: found.uid, gid: found.gid }, true);
    if (!read.ok) throw new ConvocateError("REFUSED", `${this.path}: ${read.why}`);
    const { former } = read;
    return {
      id,
      name: former.name,
      port: former.port,
      protocol: former.protocol,
      dns_name: former.dns_name,
      public: false,
      docker: false,
      limits: {},
      created_at: former.created_at,
      last_accessed_at: former.last_accessed ?? former.created_at,
      // Its conversation goes on; where there is none, the image sees that.
      started_before: true,
    };
  }

  #here(session: Portable, bytes: number): Extract<OpResult<"export">, { state: "here" }> {
    return { state: "here", session, running: false, bytes, owner: this.#with.owner };
  }
}

/** By the name that earlier releases gave it, too. False where there is no Docker. @throws ConvocateError DOCKER_ERROR. */
async function containerRuns(id: SessionId): Promise<boolean> {
  const argv = ["ps", "--quiet", "--filter", `name=^/?${containerName(id)}$`];
  try {
    return (await promisify(execFile)("docker", argv, { timeout: DOCKER_MS })).stdout.trim() !== "";
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return false;
    throw new ConvocateError(
      "DOCKER_ERROR",
      `whether container ${containerName(id)} runs cannot be told: \`docker ps\` must work here, or Docker be taken away`,
      { cause },
    );
  }
}
