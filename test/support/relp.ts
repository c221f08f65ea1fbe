import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";

/** RELP's default window (librelp): so many frames may wait for their answer. */
const WINDOW = 128;
const ANSWER_MS = 15_000;
/** Name in the log server's certificate (infra's rsyslog texts). */
const SERVER = "shell.convocate";

export interface RelpOptions {
  host: string;
  ca: string;
  cert?: string;
  key?: string;
}

/** A sender of log lines that says whatever it is told to, as a host that was taken over might (RELP over TLS, tcp/514). */
export class RelpClient implements Disposable {
  readonly #socket: TLSSocket;
  readonly #unanswered = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  #number = 0;
  #read = Buffer.alloc(0);
  #over: Error | null = null;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#heard(chunk));
    const end = (error?: Error): void => {
      this.#over ??= error ?? new Error("the log server closed the connection");
      for (const { reject } of this.#unanswered.values()) reject(this.#over);
      this.#unanswered.clear();
    };
    socket.on("error", end).on("close", () => end());
  }

  /** Rejects when the server does not let it in; with TLS 1.3 that is told only once something is asked. */
  static async open({ host, ca, cert, key }: RelpOptions): Promise<RelpClient> {
    const identity = cert === undefined || key === undefined ? {} : { cert, key };
    const socket = connect({ host, port: 514, ca, servername: SERVER, ...identity });
    const client = new RelpClient(socket);
    const timer = setTimeout(() => socket.destroy(new Error(`no TLS in ${ANSWER_MS} ms`)), ANSWER_MS);
    // It may also close without a word.
    await Promise.race([once(socket, "secureConnect"), once(socket, "close")]).finally(() => clearTimeout(timer));
    const offers = "relp_version=0\nrelp_software=convocate-test\ncommands=syslog";
    await client.#ask("open", Buffer.from(offers));
    return client;
  }

  /** Sends whole syslog messages; resolves once the server has answered for each. */
  async send(messages: readonly string[]): Promise<void> {
    const waiting = new Set<Promise<void>>();
    for (const message of messages) {
      const answer = this.#ask("syslog", Buffer.from(message)).finally(() => waiting.delete(answer));
      waiting.add(answer);
      if (waiting.size >= WINDOW) await Promise.race(waiting);
    }
    await Promise.all(waiting);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #ask(command: string, data: Buffer): Promise<void> {
    if (this.#over) throw this.#over;
    this.#number += 1;
    const number = this.#number;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#unanswered.set(number, { resolve, reject });
    const timer = setTimeout(() => reject(new Error(`the log server did not answer in ${ANSWER_MS} ms`)), ANSWER_MS);
    this.#socket.write(Buffer.concat([Buffer.from(`${number} ${command} ${data.length} `), data, Buffer.from("\n")]));
    await promise.finally(() => clearTimeout(timer));
  }

  /** Frames as `NUMBER rsp LENGTH DATA\n`. */
  #heard(chunk: Buffer): void {
    this.#read = Buffer.concat([this.#read, chunk]);
    for (;;) {
      const head = /^(\d+) (\S+) (\d+)[ \n]/.exec(this.#read.toString("latin1", 0, 64));
      if (!head) return;
      const [all, number, , length] = head;
      const end = Number(length) === 0 ? all.length : all.length + Number(length) + 1;
      if (this.#read.length < end) return;
      const said = this.#read.toString("utf8", all.length, end);
      this.#read = this.#read.subarray(end);
      const asked = this.#unanswered.get(Number(number));
      this.#unanswered.delete(Number(number));
      if (said.startsWith("200")) asked?.resolve();
      else asked?.reject(new Error(`the log server said ${said}`));
    }
  }
}
