import { spawn } from "node:child_process";
import { connect } from "node:net";
import { ConvocateError, type LogLine, type SessionId } from "../../domain/index.js";
import { Sparing, type Log } from "../../protocol/log.js";
import { readLines } from "../../protocol/ndjson.js";
import { journalArgv, MAX_LOG_BYTES, parseJournal } from "./log-lines.js";

/** Of what is told and not written yet; what comes on top is lost, and counted. */
const MAX_WAITING = 1_000;
const WRITE_MS = 2_000;
const READ_MS = 8_000;
/** Beside its text an entry has a cursor and times. */
const MAX_READ_BYTES = 2 * MAX_LOG_BYTES;

/** The sessions' logs on this host. */
export interface SessionJournal {
  /** Writes a line of a session's log. Never throws and never waits. */
  tell(id: SessionId, line: string): void;
  /** The last lines of a session's log, oldest first, and only what is newer than `after`. Throws TIMEOUT, IO_ERROR. */
  read(id: SessionId, options: { lines: number; after: string | null }): Promise<LogLine[]>;
}

/**
 * systemd's journal: Docker writes there what containers say, and it outlives them; rsyslog forwards it. A line is written the
 * way services' output comes (sd_journal_stream_fd(3)), because the journal then takes it for this service's own, which a
 * short-lived `logger` has no claim to once it is gone.
 */
export class HostJournal implements SessionJournal, AsyncDisposable {
  readonly #log: Log;
  readonly #sparing = new Sparing();
  readonly #socket: string;
  readonly #journalctl: string | undefined;
  readonly #waiting: { id: SessionId; line: string }[] = [];
  #writing: Promise<void> = Promise.resolve();
  #busy = false;
  #lost = 0;

  constructor({
    log,
    socket = "/run/systemd/journal/stdout",
    journalctl,
  }: {
    log: Log;
    socket?: string;
    /** Another program in journalctl's place. */
    journalctl?: string;
  }) {
    this.#log = log;
    this.#socket = socket;
    this.#journalctl = journalctl;
  }

  tell(id: SessionId, line: string): void {
    if (this.#waiting.length >= MAX_WAITING) this.#lost += 1;
    else this.#waiting.push({ id, line });
    if (this.#busy) return;
    this.#busy = true;
    this.#writing = this.#write();
  }

  async read(id: SessionId, { lines, after }: { lines: number; after: string | null }): Promise<LogLine[]> {
    const [file = "", ...argv] = journalArgv(id, lines, after);
    const child = spawn(this.#journalctl ?? file, argv, { stdio: ["ignore", "pipe", "pipe"] });
    const ended = new Promise<number | Error>((resolve) => {
      child.once("error", resolve).once("close", (code) => resolve(code ?? 1));
    });
    let complaint = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint = (complaint + text).slice(0, 500)));
    const late = AbortSignal.timeout(READ_MS);
    const stop = (): void => void child.kill("SIGKILL");
    late.addEventListener("abort", stop, { once: true });
    const said: string[] = [];
    let bytes = 0;
    for await (const item of readLines(child.stdout)) {
      if (!("line" in item)) continue;
      bytes += item.line.length;
      if (bytes > MAX_READ_BYTES) break;
      said.push(item.line);
    }
    if (bytes > MAX_READ_BYTES) stop();
    const code = await ended;
    late.removeEventListener("abort", stop);
    if (late.aborted)
      throw new ConvocateError("TIMEOUT", `journalctl did not end within ${READ_MS} ms: is this host's disk busy?`);
    if (typeof code !== "number" || code < 0 || (code !== 0 && said.length === 0 && complaint !== ""))
      throw new ConvocateError(
        "IO_ERROR",
        `the journal of this host cannot be read: ${typeof code === "number" ? complaint.trim() : code.message}`,
      );
    return parseJournal(said, after);
  }

  /** Waits for what was told. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      try {
        await this.#send(next.id, next.line);
      } catch (error) {
        this.#lost += 1;
        const more = this.#sparing.next();
        if (more)
          this.#log.warn({ ...more, lost: this.#lost, error: String(error) }, "a session's log cannot be written");
      }
    }
    this.#busy = false;
  }

  /** Header: identifier, unit, priority, whether lines begin with one, and three times whether to forward them. */
  async #send(id: SessionId, line: string): Promise<void> {
    const socket = connect(this.#socket);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(
      () => socket.destroy(new Error(`the journal did not take it in ${WRITE_MS} ms`)),
      WRITE_MS,
    );
    socket.once("error", reject).once("close", () => resolve());
    socket.end(`${id}\n\n6\n0\n0\n0\n0\n${line}\n`, () => socket.destroy());
    try {
      await promise;
    } finally {
      clearTimeout(timer);
    }
  }
}
