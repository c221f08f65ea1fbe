import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { ConvocateError, SUBSYSTEM, toConvocateError, type ErrorCode, type SessionId } from "../../domain/index.js";
import { FrameDecoder } from "../../protocol/attach/framing.js";
import { AttachReply, type AttachHeader } from "../../protocol/attach/header.js";
import { readFirstLine, writeLine } from "../../protocol/ndjson.js";
import type { ClientChannel, SshConnection } from "../../protocol/ssh/types.js";
import type { AttachOutcome, Terminal } from "../cluster.js";
import type { Echo } from "./echo.js";
import { InputBuffer } from "./input.js";
import { AttachedTerminal } from "./terminal.js";

/** Three unanswered pings end a connection, so a dead network is noticed within 6 s. */
const KEEPALIVE_MS = 1500;
/**
 * A redial whose first packets were lost is given up soon: the next one may find the network back. What comes after the
 * first answer has more time: a handshake takes seven round trips.
 */
const REDIAL_CONNECT_TIMEOUT_MS = 4000;
const BACKOFF = { firstMs: 100, maxMs: 2000, stayedUpMs: 2000 } as const;
/** The agent waits up to 10 s for a container that is just starting. */
const REPLY_TIMEOUT_MS = 20_000;
const EXIT_STATUS_TIMEOUT_MS = 5000;

/** Answers that a redial would only get again. */
const FINAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["HOST_KEY_MISMATCH", "AUTH_REJECTED"]);

/** From this on an echo is late enough to be seen, and typed characters are shown before it. */
const SLOW_ROUND_TRIP_MS = 50;
/** A channel is asked for, then its subsystem. */
const ROUND_TRIPS_TO_OPEN = 2;

/** tmux's keys to detach. */
const DETACH = "\x02d";
/** Why a viewer's attach was aborted when it left by itself. */
const LEFT = new ConvocateError("INTERRUPTED", "left");

export interface AttachOptions {
  dial: (options: { signal: AbortSignal; connectTimeoutMs?: number; keepaliveMs: number }) => Promise<SshConnection>;
  id: SessionId;
  /** The agent's name, for messages. */
  where: string;
  terminal: Terminal;
  mode: "rw" | "ro";
  signal?: AbortSignal;
}

/**
 * Hands the terminal to a session until its user detaches or the session ends; a connection that breaks is made again by
 * itself, and what was typed meanwhile arrives once. Never rejects. The terminal is as it was afterwards.
 */
export async function attachSession(options: AttachOptions): Promise<AttachOutcome> {
  return await new Attach(options).run();
}

/** The agent said no: asking again changes nothing. */
class Refused extends Error {
  readonly error: ConvocateError;
  constructor(error: ConvocateError) {
    super(error.message);
    this.error = error;
  }
}

class Attach {
  readonly #options: AttachOptions;
  readonly #terminal: Terminal;
  readonly #stream = randomUUID();
  readonly #input = new InputBuffer();
  readonly #giveUp = new AbortController();
  readonly #signal: AbortSignal;
  /** The channel that is attached now; null while connecting. */
  #live: ClientChannel | null = null;
  /** On a slow connection. */
  #echo: Echo | null = null;
  #attached = false;
  #lastKey = "";

  constructor(options: AttachOptions) {
    this.#options = options;
    this.#terminal = options.terminal;
    this.#signal = options.signal ? AbortSignal.any([options.signal, this.#giveUp.signal]) : this.#giveUp.signal;
  }

  async run(): Promise<AttachOutcome> {
    const { input } = this.#terminal;
    using tty = new AttachedTerminal(this.#terminal);
    const onData = (chunk: Buffer | string): void =>
      this.#typed(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
    const onEnd = (): void => this.#giveUp.abort(new ConvocateError("INTERRUPTED", "the terminal is gone"));
    const offResize = this.#terminal.onResize(() => this.#resized());
    input.on("data", onData);
    input.on("end", onEnd);
    (input as Readable).resume();
    try {
      return await this.#connectUntilEnded(tty);
    } finally {
      offResize();
      input.off("data", onData);
      input.off("end", onEnd);
    }
  }

  async #connectUntilEnded(tty: AttachedTerminal): Promise<AttachOutcome> {
    for (let failures = 0; ; failures += 1) {
      const startedMs = performance.now();
      let timedOut = false;
      try {
        const exitStatus = await this.#once(tty);
        if (exitStatus !== null) return { kind: "ended", exitStatus };
        if (performance.now() - startedMs >= BACKOFF.stayedUpMs) failures = 0;
      } catch (thrown) {
        if (this.#signal.aborted) return this.#aborted();
        if (thrown instanceof Refused) return { kind: "failed", error: thrown.error };
        const error = toConvocateError(thrown, "CONNECTION_LOST");
        if (!this.#attached || FINAL.has(error.code)) return { kind: "failed", error };
        timedOut = error.code === "TIMEOUT";
      }
      tty.showLine(`reconnecting to ${this.#options.where}… (Ctrl-C gives up)`);
      const backoffMs = timedOut
        ? BACKOFF.firstMs
        : Math.min(BACKOFF.maxMs, BACKOFF.firstMs * 2 ** Math.min(failures, 10));
      try {
        await sleep(backoffMs, undefined, { signal: this.#signal });
      } catch {
        return this.#aborted();
      }
    }
  }

  #aborted(): AttachOutcome {
    const reason: unknown = this.#signal.reason;
    if (reason === LEFT) return { kind: "ended", exitStatus: 0 };
    return { kind: "failed", error: toConvocateError(reason, "INTERRUPTED") };
  }

  /** One connection from dial to its end: the exit-status, or null when it broke. */
  async #once(tty: AttachedTerminal): Promise<number | null> {
    const signal = this.#signal;
    await using connection = await this.#options.dial({
      signal,
      keepaliveMs: KEEPALIVE_MS,
      ...(this.#attached ? { connectTimeoutMs: REDIAL_CONNECT_TIMEOUT_MS } : {}),
    });
    const onAbort = (): void => connection.close();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      const askedMs = performance.now();
      const channel = await connection.openSubsystem(SUBSYSTEM.attach, { signal });
      const roundTripMs = (performance.now() - askedMs) / ROUND_TRIPS_TO_OPEN;
      const loading = this.#wantsEcho(roundTripMs) ? loadEcho() : null;
      const taken = await this.#greet(channel);
      const Echo = await loading;
      if (this.#attached) tty.clearLine();
      this.#withRoom(() => this.#input.resume(taken));
      this.#attached = true;
      this.#live = channel;
      const echo = Echo && new Echo(this.#terminal.size(), (sequence) => tty.draw(sequence));
      this.#echo = echo;
      this.#pump();
      try {
        await this.#copyOutput(channel, tty);
      } finally {
        this.#live = null;
        this.#echo = null;
        echo?.[Symbol.dispose]();
      }
      signal.throwIfAborted();
      const late = sleep(EXIT_STATUS_TIMEOUT_MS, null, { ref: false });
      return await Promise.race([channel.closed, late]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Says what is wanted and hears how many bytes of our input the agent has taken before. */
  async #greet(channel: ClientChannel): Promise<number | null> {
    const { id, mode } = this.#options;
    const size = this.#terminal.size();
    const header: AttachHeader = { id, ...size, mode, term: this.#terminal.term, stream: this.#stream };
    channel.stream.on("error", () => undefined);
    await writeLine(channel.stream, header);
    const line = await readFirstLine(channel.stream, { timeoutMs: REPLY_TIMEOUT_MS });
    const reply = parseReply(line);
    if (!reply.ok) throw new Refused(new ConvocateError(reply.code, `${this.#options.where}: ${reply.error}`));
    const now = this.#terminal.size();
    if (now.cols !== size.cols || now.rows !== size.rows) channel.setWindow(now);
    return reply.taken ?? null;
  }

  async #copyOutput(channel: ClientChannel, tty: AttachedTerminal): Promise<void> {
    const frames = new FrameDecoder();
    try {
      for await (const chunk of channel.stream as AsyncIterable<Buffer>) {
        for (const frame of frames.push(chunk)) {
          if (frame.kind === "output") await tty.write((await this.#echo?.output(frame.data)) ?? frame.data);
          else this.#took(frame.taken);
        }
      }
    } catch (thrown) {
      // A stream cut short is a lost connection, which the missing exit-status says; a broken frame is not.
      if (thrown instanceof ConvocateError) throw thrown;
    }
  }

  #took(offset: number): void {
    this.#withRoom(() => this.#input.acknowledge(offset));
    this.#echo?.taken(offset);
  }

  #resized(): void {
    const size = this.#terminal.size();
    this.#echo?.resize(size);
    this.#live?.setWindow(size);
  }

  /** Not where the session's own echo is soon enough, nor for a viewer, who types nothing, nor for who does not want it. */
  #wantsEcho(roundTripMs: number): boolean {
    const { mode, terminal } = this.#options;
    return roundTripMs >= SLOW_ROUND_TRIP_MS && mode === "rw" && terminal.predicts !== false;
  }

  #typed(chunk: Buffer): void {
    if (!this.#live && isInterrupt(chunk)) {
      const doing = this.#attached ? "reconnecting" : "connecting";
      const message = `gave up ${doing} to ${this.#options.where}; the session goes on`;
      this.#giveUp.abort(new ConvocateError("INTERRUPTED", message));
      return;
    }
    if (this.#options.mode === "ro") {
      // A viewer types nothing (SPEC 5.2), so the keys that leave are looked for here.
      const keys = this.#lastKey + chunk.toString("latin1");
      this.#lastKey = keys.slice(-1);
      if (isInterrupt(chunk) || keys.includes(DETACH)) this.#giveUp.abort(LEFT);
      return;
    }
    this.#input.append(chunk);
    this.#pump();
    this.#echo?.typed(chunk, this.#input.end);
    // While it is not read, the terminal itself holds what is typed.
    if (this.#input.isFull()) (this.#terminal.input as Readable).pause();
  }

  /** Lets the terminal be read again when `free` made room in a full buffer. */
  #withRoom(free: () => void): void {
    const wasFull = this.#input.isFull();
    free();
    if (wasFull && !this.#input.isFull()) (this.#terminal.input as Readable).resume();
  }

  /** The buffer's bound is the channel's too: nothing is written that it does not keep. */
  #pump(): void {
    if (!this.#live) return;
    for (const chunk of this.#input.take()) this.#live.stream.write(chunk);
  }
}

/** Null when it cannot be had, as after an update that took this release's files away: it is a comfort, no need. */
async function loadEcho(): Promise<typeof Echo | null> {
  return await import("./echo.js").then(
    (module) => module.Echo,
    () => null,
  );
}

/** Ctrl-C as a plain terminal, xterm's modifyOtherKeys and kitty's keyboard protocol send it. */
function isInterrupt(chunk: Buffer): boolean {
  return chunk.includes(3) || chunk.includes("\x1b[27;5;99~") || chunk.includes("\x1b[99;5u");
}

function parseReply(line: string): AttachReply {
  try {
    return AttachReply.parse(JSON.parse(line));
  } catch (cause) {
    throw new ConvocateError("INTERNAL", "the agent's answer to an attach is not understood: update shell and agent", {
      cause,
    });
  }
}
