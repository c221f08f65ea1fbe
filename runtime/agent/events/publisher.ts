import { z } from "zod";
import { ConvocateError, SUBSYSTEM, toConvocateError, type AgentEvent } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { readLines, writeLine } from "../../protocol/ndjson.js";
import { Link } from "../../protocol/ssh/link.js";
import type { ClientChannel, SshConnection } from "../../protocol/ssh/types.js";
import { within, type Clock } from "../clock.js";
import type { Spool } from "./spool.js";

/** SPEC 5.3. */
const HEARTBEAT_MS = 30_000;
/** Events sent and not acknowledged; more wait on disk. */
const WINDOW = 256;
/** Acknowledged events are forgotten this much later, many at a time; each deletion waits for the disk. */
const FORGET_MS = 200;

const Ack = z.object({ ack: z.int().min(0) });

export interface PublisherOptions {
  spool: Spool;
  dial: (signal: AbortSignal) => Promise<SshConnection>;
  /** A heartbeat as it would be sent now. */
  heartbeat: () => AgentEvent;
  clock: Clock;
  log: Log;
  heartbeatMs?: number;
}

/** Brings the spool's events to the shell: in order, again after each reconnect, until it acknowledges them. */
export class Publisher implements AsyncDisposable {
  readonly #with: PublisherOptions;
  readonly #link: Link;
  /** The highest number that the shell acknowledged, and the stream it is of. */
  #acked = 0;
  #stream = "";
  #forgetting: NodeJS.Timeout | undefined;
  #wake: () => void = () => undefined;
  #drained: () => void = () => undefined;
  #downSince: number | null = null;

  constructor(options: PublisherOptions) {
    this.#with = options;
    this.#link = new Link({
      dial: options.dial,
      onUp: (connection) => this.#up(connection),
      onDown: (error) => this.#down(error),
      log: options.log,
    });
    options.spool.onAppend(() => this.#wake());
  }

  start(): void {
    this.#link.start();
  }

  /** Waits until the shell has everything, or the time is over. */
  async drain(timeoutMs: number): Promise<void> {
    this.#forget();
    if (this.#with.spool.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drained = resolve;
    await within(this.#with.clock, timeoutMs, promise, () => undefined);
  }

  async close(): Promise<void> {
    await this.#link.close();
    this.#forget();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #down(error: ConvocateError): void {
    // Once for each time it is lost; a shell that is down for a week is no reason to fill the log.
    if (this.#downSince !== null) return;
    this.#downSince = this.#with.clock.now();
    this.#with.log.warn({ code: error.code, error: error.message }, "no connection to the shell; events wait on disk");
  }

  async #up(connection: SshConnection): Promise<void> {
    const channel = await connection.openSubsystem(SUBSYSTEM.status);
    this.#with.log.info({}, "connected to the shell");
    this.#downSince = null;
    const gone = new AbortController();
    const finish = (error?: Error): void => {
      if (gone.signal.aborted) return;
      if (error) this.#with.log.info({ error: error.message }, "the event channel ended");
      gone.abort();
      this.#wake();
      connection.close();
    };
    this.#forget();
    this.#acked = 0;
    this.#stream = this.#with.spool.stream;
    const failed = (error: unknown): void => finish(toConvocateError(error));
    this.#receive(channel).then(() => finish(), failed);
    this.#send(channel, gone.signal).then(() => finish(), failed);
    void connection.closed.then(() => finish());
  }

  async #receive(channel: ClientChannel): Promise<void> {
    for await (const item of readLines(channel.stream, { maxBytes: 4096 })) {
      const ack = "line" in item ? parseAck(item.line) : null;
      if (ack === null) {
        this.#with.log.warn({}, "skipped a line from the shell that is no acknowledgement");
        continue;
      }
      this.#acked = Math.max(this.#acked, ack);
      this.#forgetting ??= setTimeout(() => this.#forget(), FORGET_MS);
      this.#wake();
    }
  }

  async #send(channel: ClientChannel, gone: AbortSignal): Promise<void> {
    const { spool, heartbeat, heartbeatMs = HEARTBEAT_MS } = this.#with;
    let beatDue = true;
    const beat = setInterval(() => {
      beatDue = true;
      this.#wake();
    }, heartbeatMs);
    let sent: number | null = null;
    try {
      while (!gone.aborted) {
        // A spool that was made anew counts from 1 again; a new connection keeps the acknowledgements of both apart.
        if (spool.stream !== this.#stream) throw new ConvocateError("CONNECTION_LOST", "the event spool began anew");
        const { promise: woken, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        if (beatDue) {
          beatDue = false;
          await writeLine(channel.stream, heartbeat());
        }
        const room: number = sent === null ? WINDOW : WINDOW - (sent - Math.max(this.#acked, sent - WINDOW));
        const events: AgentEvent[] = room > 0 ? spool.after(sent ?? 0, room) : [];
        for (const event of events) {
          // The numbers before the first are the shell's already.
          if (sent === null) this.#acked = Math.max(this.#acked, event.seq - 1);
          await writeLine(channel.stream, event);
          sent = event.seq;
        }
        if (events.length === 0) await woken;
      }
    } finally {
      clearInterval(beat);
    }
  }

  #forget(): void {
    clearTimeout(this.#forgetting);
    this.#forgetting = undefined;
    if (this.#acked > 0 && this.#stream === this.#with.spool.stream) this.#with.spool.acknowledge(this.#acked);
    if (this.#with.spool.size === 0) this.#drained();
  }
}

function parseAck(line: string): number | null {
  try {
    return Ack.parse(JSON.parse(line)).ack;
  } catch {
    return null;
  }
}
