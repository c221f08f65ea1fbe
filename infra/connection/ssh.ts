import { setTimeout } from "node:timers/promises";
import type ssh2 from "ssh2";
import { ConvocateError } from "../../runtime/domain/index.js";
import { abortError, type Started } from "./collect.js";
import { place, type SshHost } from "./credentials.js";
import { dial, exitCodeOfSignal } from "./dial.js";
import { MachineConnection } from "./machine.js";
import { quoteArgv } from "./quote.js";
import { Semaphore } from "./semaphore.js";

/** sshd lets 10 sessions share a connection (MaxSessions); two are left for whoever else is on this host. */
const MAX_CHANNELS = 8;
const CLOSE_GRACE_MS = 2_000;
/** How long a host may go on saying that it has no session left for us, and how long we leave it alone between. */
const NO_SESSION_MS = 15_000;
const NO_SESSION_PAUSE_MS = 50;

/** One host over SSH: one connection for all its commands, made on first use and made again after it broke. */
export class SshMachineConnection extends MachineConnection {
  readonly #target: SshHost;
  readonly #slots = new Semaphore(MAX_CHANNELS);
  readonly #closed = new AbortController();
  #client: Promise<ssh2.Client> | undefined;

  constructor(host: SshHost) {
    super(host);
    this.#target = host;
  }

  /** Dials now, unless it is connected; rejects as `dial` does. The signal ends this caller's wait, not others'. */
  async ready(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw abortError(signal);
    await untilAborted(this.#connect(), signal);
  }

  protected isRoot(): boolean {
    return this.#target.user === "root";
  }

  protected loginName(): string {
    return this.#target.user;
  }

  protected async start(argv: readonly string[], signal?: AbortSignal): Promise<Started> {
    const release = await this.#slots.acquire(signal);
    try {
      for (const giveUpAt = Date.now() + NO_SESSION_MS; ;) {
        const client = await untilAborted(this.#connect(), signal);
        try {
          return await this.#open(client, argv, release);
        } catch (thrown) {
          // sshd counts a session until its process is reaped, which may be after we saw its end. Nothing was started yet.
          if (!(thrown instanceof NoSession) || Date.now() > giveUpAt) throw thrown;
          await setTimeout(NO_SESSION_PAUSE_MS, undefined, signal ? { signal } : {});
        }
      }
    } catch (thrown) {
      release();
      throw thrown;
    }
  }

  #connect(): Promise<ssh2.Client> {
    this.#client ??= this.#dial();
    return this.#client;
  }

  async #dial(): Promise<ssh2.Client> {
    try {
      const client = await dial(this.#target, this.#closed.signal);
      const forget = (): void => void (this.#client = undefined);
      client.on("error", forget);
      client.on("close", forget);
      return client;
    } catch (thrown) {
      this.#client = undefined;
      throw thrown;
    }
  }

  #open(client: ssh2.Client, argv: readonly string[], release: () => void): Promise<Started> {
    return new Promise((resolve, reject) => {
      const lost = (): ConvocateError =>
        new ConvocateError("CONNECTION_LOST", `${place(this.#target)}: the connection broke during ${argv[0] ?? ""}`);
      // A connection that breaks while a channel is being opened answers nothing to the open.
      const broken = (): void => reject(lost());
      client.once("close", broken);
      try {
        client.exec(quoteArgv(argv), (error, channel) => {
          client.off("close", broken);
          if (error) {
            const refused = typeof (error as { reason?: unknown }).reason === "number";
            const message = `${place(this.#target)}: cannot start ${argv[0] ?? ""}: ${error.message}`;
            reject(
              refused
                ? new NoSession(message, error)
                : new ConvocateError("CONNECTION_LOST", message, { cause: error }),
            );
          } else resolve(asStarted(channel, release, lost));
        });
      } catch (thrown) {
        client.off("close", broken);
        reject(thrown instanceof ConvocateError ? thrown : lost());
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new ConvocateError("CONNECTION_LOST", `${place(this.#target)}: the connection was closed`));
    const client = await this.#client?.catch(() => undefined);
    if (!client) return;
    const gone = new Promise<void>((resolve) => client.once("close", () => resolve()));
    client.end();
    // A peer that does not answer the goodbye is not waited for.
    void setTimeout(500, undefined, { ref: false }).then(() => client.destroy());
    await gone;
  }
}

/** The host answers, and opens no channel for us now. */
class NoSession extends ConvocateError {
  constructor(message: string, cause: Error) {
    super("CONNECTION_LOST", message, { cause });
  }
}

function asStarted(channel: ssh2.ClientChannel, release: () => void, lost: () => ConvocateError): Started {
  const exited = new Promise<number>((resolve, reject) => {
    let exitCode: number | undefined;
    channel.on("exit", (code: number | null, signal?: string) => {
      exitCode = code ?? exitCodeOfSignal(signal ?? "");
    });
    channel.on("error", () => undefined);
    channel.once("close", () => {
      release();
      if (exitCode === undefined) reject(lost());
      else resolve(exitCode);
    });
  });
  // Nobody may be waiting yet, or any more.
  exited.catch(() => undefined);
  return {
    stdin: channel,
    stdout: channel,
    stderr: channel.stderr,
    exited,
    kill: () => {
      try {
        channel.signal("TERM");
      } catch {
        // The connection is gone, and the command's pipes with it.
      }
      channel.close();
      // When the host confirms; but one that is stuck must not stop the next command for ever.
      void setTimeout(CLOSE_GRACE_MS, undefined, { ref: false }).then(release);
    },
  };
}

/** The promise, or the signal's reason when that comes first; the promise goes on for whoever else waits for it. */
async function untilAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return await promise;
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(abortError(signal));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    promise.catch(() => undefined);
  }
}
