import { Readable, type Writable } from "node:stream";
import { ConvocateError } from "../../runtime/domain/index.js";
import type { RunOptions, RunResult } from "./types.js";

/** A program that was started somewhere, before anybody listens to it. */
export interface Started {
  stdin: Writable;
  stdout: Readable;
  stderr: Readable;
  /** Its exit code (128 + n for signal n); rejects with a ConvocateError when it could not start or the way to it broke. */
  exited: Promise<number>;
  /** Ends it as well as one can from here: `exited` is not waited for after that. */
  kill(): void;
}

const DEFAULT_TIMEOUT_MS = 60_000;
/** Most that a command may print on either stream; a host that sends more is not answering our question. */
export const MAX_OUTPUT_BYTES = 8 * 1024 * 1024;

/** Feeds a started program, gathers what it prints, and waits for its end, its deadline or the signal, whichever is first. */
export async function collect(
  started: Started,
  hostName: string,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const program = argv[0] ?? "";
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const give = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    give.reject(new ConvocateError("TIMEOUT", `${hostName}: ${program} did not end within ${timeoutMs / 1000} s`));
  }, timeoutMs);
  const onAbort = (): void => give.reject(abortError(options.signal));
  options.signal?.addEventListener("abort", onAbort, { once: true });
  if (options.signal?.aborted) onAbort();

  const tooMuch = (): void =>
    give.reject(
      new ConvocateError("COMMAND_FAILED", `${hostName}: ${program} printed more than ${MAX_OUTPUT_BYTES} bytes`),
    );
  try {
    const whole = Promise.all([
      started.exited,
      gather(started.stdout, tooMuch),
      gather(started.stderr, tooMuch),
      feed(started.stdin, options.input),
    ]);
    // Whoever loses the race may still reject; it has been answered for.
    whole.catch(() => undefined);
    give.promise.catch(() => undefined);
    const [exitCode, stdout, stderr] = await Promise.race([whole, give.promise]);
    return { exitCode, stdout, stderr };
  } catch (thrown) {
    started.kill();
    throw thrown;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
    if (options.input instanceof Readable) options.input.destroy();
  }
}

/** The error of a command that ended with another code than 0: host, program, and the end of what it said on stderr. */
export function commandFailed(hostName: string, argv: readonly string[], result: RunResult): ConvocateError {
  const said = result.stderr.trim().slice(-600) || result.stdout.trim().slice(-600) || "it said nothing";
  const lines = said.split(/\s*\n\s*/).slice(-6);
  return new ConvocateError(
    "COMMAND_FAILED",
    `${hostName}: ${argv[0] ?? ""} failed with exit code ${result.exitCode}: ${lines.join(" / ")}`,
  );
}

/** What an aborted signal's owner meant: its own ConvocateError, or that it was interrupted. */
export function abortError(signal: AbortSignal | undefined): ConvocateError {
  const reason: unknown = signal?.reason;
  return reason instanceof ConvocateError
    ? reason
    : new ConvocateError("INTERRUPTED", "interrupted", { cause: reason });
}

async function gather(stream: Readable, tooMuch: () => void): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_OUTPUT_BYTES) {
      tooMuch();
      return "";
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Writes the input and EOF. A program that ends or closes its input early is no error: its exit code tells. */
async function feed(stdin: Writable, input: RunOptions["input"]): Promise<void> {
  stdin.on("error", () => undefined);
  if (!(input instanceof Readable)) {
    stdin.end(input);
    return;
  }
  try {
    for await (const chunk of input as AsyncIterable<Buffer>) {
      if (!stdin.writable) break;
      if (!stdin.write(chunk)) await roomIn(stdin);
    }
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new ConvocateError("IO_ERROR", `cannot read what to send: ${why}`, { cause: thrown });
  }
  stdin.end();
}

function roomIn(stdin: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ["drain", "close", "error"]) stdin.off(event, done);
      resolve();
    };
    for (const event of ["drain", "close", "error"]) stdin.on(event, done);
    if (stdin.destroyed) done();
  });
}
