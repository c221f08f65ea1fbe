import { within } from "../clock.js";
import type { RpcHandlers, StreamHandlers } from "../../protocol/rpc/ops.js";
import { Incoming, type IncomingOptions } from "./incoming.js";
import { Outgoing, type OutgoingOptions } from "./outgoing.js";

/** How often what waits for too long is looked for. */
const EXPIRE_EVERY_MS = 3_600_000;
/** How long an agent that stops waits for moves that its stop has cut off. */
const SETTLE_MS = 10_000;

/** Sessions that go to another agent or come from one (SPEC 6.3, move and clone). */
export class Transfers implements AsyncDisposable {
  readonly #outgoing: Outgoing;
  readonly #incoming: Incoming;
  readonly #options: IncomingOptions & OutgoingOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: IncomingOptions & OutgoingOptions) {
    this.#options = options;
    this.#outgoing = new Outgoing(options);
    this.#incoming = new Incoming(options);
  }

  get handlers(): Pick<Required<RpcHandlers>, "export" | "import"> {
    return { export: (params) => this.#outgoing.answer(params), import: (params) => this.#incoming.answer(params) };
  }

  get streams(): StreamHandlers {
    return {
      export: (params, stream, signal) => this.#outgoing.serve(params, stream, signal),
      import: (params, stream, signal) => this.#incoming.serve(params, stream, signal),
    };
  }

  /** Before anything is served: ends what a crash interrupted, then looks every hour for what was forgotten. */
  async start(): Promise<void> {
    await this.#outgoing.tidy();
    await this.#incoming.tidy();
    this.#timer = setInterval(() => void this.#incoming.expire(), EXPIRE_EVERY_MS);
    this.#timer.unref();
  }

  /** Once nobody is served any more: waits for what ends then, so that a session that was stopped for a move runs again. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await within(this.#options.clock, SETTLE_MS, this.#outgoing.settled(), () => undefined);
  }
}
