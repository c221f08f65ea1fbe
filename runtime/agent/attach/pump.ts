import type { Duplex, Writable } from "node:stream";
import { encodeAck, encodeOutput } from "../../protocol/attach/framing.js";
import { within, type Clock } from "../clock.js";
import type { StreamClaim } from "./streams.js";

/**
 * Between two writes to a client. What comes meanwhile goes with the next one: a terminal gives 4 KB at a time, and a packet
 * for each would wake the client as often.
 */
const GATHER_MS = 1;
/** How long an acknowledgement waits for output that it can go with. */
const ACK_WAIT_MS = 20;
/** An input write that Docker does not take within this time is given up when its client is gone. */
const QUIESCE_MS = 1_000;

/**
 * Moves an attach's bytes. Each side is read only while the other takes what was read, so a slow reader holds back this
 * attach alone, in the memory of one chunk and the streams' own buffers.
 */
export class Pump {
  readonly #channel: Duplex;
  readonly #tty: Duplex;
  readonly #readOnly: boolean;
  readonly #claim: StreamClaim | null;
  readonly #clock: Clock;
  #closed = false;
  /** The input write under way, if any. */
  #writing: Promise<unknown> = Promise.resolve();
  #ackDue = false;
  #lastInputAt = 0;
  /** tmux has set up its terminal, or is gone. */
  readonly #ready = Promise.withResolvers<void>();

  constructor(options: { channel: Duplex; tty: Duplex; readOnly: boolean; claim: StreamClaim | null; clock: Clock }) {
    this.#channel = options.channel;
    this.#tty = options.tty;
    this.#readOnly = options.readOnly;
    this.#claim = options.claim;
    this.#clock = options.clock;
    this.#tty.on("error", () => undefined);
  }

  /** When input last reached the session, in the clock's milliseconds; 0 when none did. */
  get lastInputAt(): number {
    return this.#lastInputAt;
  }

  /**
   * Brings the client's bytes to the session, from tmux's first output on: before, the TTY would echo them, and make a line
   * feed of Enter and a signal of Ctrl-C. A viewer's are thrown away. The client's EOF ends nothing.
   */
  startInput(): void {
    // The TTY is not ended with the client's EOF: Docker would close the process's output with it.
    this.#input().catch(() => undefined);
  }

  /** Brings the session's bytes to the client; resolves when the session's side ended. */
  async output(): Promise<void> {
    try {
      for await (const chunk of this.#tty as AsyncIterable<Buffer>) {
        this.#ready.resolve();
        if (this.#closed || this.#channel.destroyed) return;
        const free = this.#channel.write(this.#claim ? this.#framed(chunk, this.#claim) : chunk);
        if (!free) await drained(this.#channel);
        await this.#clock.sleep(GATHER_MS);
      }
    } catch {
      // Docker's side broke; what the process did, its state says.
    } finally {
      this.#ready.resolve();
    }
  }

  /** Takes no more input, and waits for what is on its way, so that the count of what was taken is final. */
  async quiesce(): Promise<void> {
    this.#closed = true;
    this.#ready.resolve();
    const written = this.#writing.catch(() => undefined);
    await within(this.#clock, QUIESCE_MS, written, () => undefined);
  }

  close(): void {
    this.#closed = true;
    this.#ready.resolve();
    this.#tty.destroy();
  }

  /** To the very end, also when nothing is taken any more: ssh2 tells of a closed channel only once all of it was read. */
  async #input(): Promise<void> {
    for await (const chunk of this.#channel.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (!this.#readOnly) await this.#ready.promise;
      if (this.#closed) continue;
      if (!this.#readOnly) {
        this.#writing = write(this.#tty, chunk);
        try {
          await this.#writing;
        } catch {
          // The session's side is gone, which `output` sees too.
          this.#closed = true;
          continue;
        }
        this.#lastInputAt = this.#clock.monotonicMs();
      }
      if (this.#claim) {
        this.#claim.add(chunk.length);
        this.#acknowledge(this.#claim).catch(() => undefined);
      }
    }
  }

  /** Output as a frame, and before it the acknowledgement that is due: one packet, one wake-up of the client. */
  #framed(chunk: Buffer, claim: StreamClaim): Buffer {
    if (!this.#takeAckDue()) return encodeOutput(chunk);
    return Buffer.concat([encodeAck(claim.add(0)), encodeOutput(chunk)]);
  }

  /**
   * One acknowledgement at a time, of all that was taken by then, when the client has room for it. Most keys have an echo,
   * which takes it along; where none comes, it goes by itself.
   */
  async #acknowledge(claim: StreamClaim): Promise<void> {
    if (this.#ackDue) return;
    this.#ackDue = true;
    await this.#clock.sleep(ACK_WAIT_MS);
    await drained(this.#channel);
    if (!this.#takeAckDue() || this.#channel.destroyed || this.#channel.writableEnded) return;
    this.#channel.write(encodeAck(claim.add(0)));
  }

  #takeAckDue(): boolean {
    const due = this.#ackDue;
    this.#ackDue = false;
    return due;
  }
}

function write(to: Writable, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => to.write(chunk, (error) => (error ? reject(error) : resolve())));
}

/** Resolves when the stream takes more, or takes nothing any more. */
function drained(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.once("drain", done);
    stream.once("close", done);
    if (stream.destroyed || !stream.writableNeedDrain) done();
  });
}
