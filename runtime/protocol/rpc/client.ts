import type { Duplex } from "node:stream";
import { z } from "zod";
import { ConvocateError, isErrorCode } from "../../domain/index.js";
import { readLines, writeLine } from "../ndjson.js";
import { OPS, type Op, type OpInput, type OpResult } from "./ops.js";

const Response = z.union([
  z.object({ id: z.int().optional(), ok: z.literal(true), result: z.unknown() }),
  z.object({ id: z.int().optional(), ok: z.literal(false), code: z.string(), error: z.string() }),
]);

/** Answers that one channel waits for at most. */
const MAX_PENDING = 1024;

interface Pending {
  resolve: (result: unknown) => void;
  reject: (error: ConvocateError) => void;
}

/** The client end of `convocate-agent-rpc`: many requests at once on one channel, each with its deadline. */
export class RpcClient {
  readonly #stream: Duplex;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #closed: ConvocateError | undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
    // for-await hears the error; without a listener a late one would end the process
    stream.on("error", () => undefined);
    void this.#read();
  }

  /**
   * @param timeoutMs from now to the answer; default 10 s.
   * @throws ConvocateError with the agent's code, or TIMEOUT, CONNECTION_LOST, INTERNAL (an answer of the wrong shape).
   */
  async call<O extends Op>(
    op: O,
    params: OpInput<O>,
    { timeoutMs = 10_000, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<OpResult<O>> {
    if (this.#closed) throw this.#closed;
    if (this.#pending.size >= MAX_PENDING)
      throw new ConvocateError("REFUSED", `${MAX_PENDING} requests wait for this agent already: try again later`);
    signal?.throwIfAborted();
    const id = ++this.#lastId;
    let cleanUp = (): void => undefined;
    try {
      const result = await new Promise<unknown>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new ConvocateError("TIMEOUT", `the agent did not answer ${op} within ${timeoutMs / 1000} s`)),
          timeoutMs,
        );
        const onAbort = (): void => reject(signal?.reason as Error);
        signal?.addEventListener("abort", onAbort, { once: true });
        cleanUp = () => {
          clearTimeout(timer);
          signal?.removeEventListener("abort", onAbort);
          this.#pending.delete(id);
        };
        this.#pending.set(id, { resolve, reject });
        writeLine(this.#stream, { id, op, params }).catch(reject);
      });
      const parsed = OPS[op].result.safeParse(result);
      if (!parsed.success) {
        throw new ConvocateError(
          "INTERNAL",
          `the agent's answer to ${op} is not understood: update shell and agent to one release`,
          { cause: parsed.error },
        );
      }
      return parsed.data as OpResult<O>;
    } finally {
      cleanUp();
    }
  }

  close(): void {
    this.#fail(new ConvocateError("CONNECTION_LOST", "the connection to the agent was closed"));
    this.#stream.end();
  }

  async #read(): Promise<void> {
    try {
      for await (const read of readLines(this.#stream, { maxBytes: 64 * 1024 * 1024 })) {
        if ("line" in read) this.#settle(read.line);
      }
    } catch {
      // told below: the stream is gone, whatever the reason
    }
    this.#fail(new ConvocateError("CONNECTION_LOST", "the connection to the agent was lost"));
  }

  #settle(line: string): void {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return;
    }
    const response = Response.safeParse(value);
    if (!response.success || response.data.id === undefined) return;
    const pending = this.#pending.get(response.data.id);
    if (!pending) return;
    if (response.data.ok) pending.resolve(response.data.result);
    else
      pending.reject(
        new ConvocateError(isErrorCode(response.data.code) ? response.data.code : "INTERNAL", response.data.error),
      );
  }

  #fail(error: ConvocateError): void {
    this.#closed ??= error;
    for (const { reject } of this.#pending.values()) reject(this.#closed);
  }
}
