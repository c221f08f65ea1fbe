import { CommanderError, type Command } from "commander";
import { ConvocateError, toConvocateError } from "../../runtime/domain/index.js";
import { namingStack } from "./stack.js";
import { clean } from "./text.js";
import { withUsage } from "./usage.js";

/** The one error line: what, where, what to do next; the cause chain below it with --verbose. Never a stack, never a key. */
export function errorLines(program: string, error: ConvocateError, verbose: boolean): string[] {
  // Messages may quote what a host or an agent said, so nothing in them may act on the terminal.
  const oneText = (message: string): string => message.split("\n").map(clean).join("\n  ");
  const lines = [`${program}: ${oneText(namingStack(error.message))}`];
  if (!verbose) return lines;
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause)
    lines.push(`  because: ${oneText(cause.message)}`);
  return lines;
}

/**
 * Runs a program's commands and returns its exit code (SPEC 3). Commands print through `cli/output` and throw
 * ConvocateErrors; nothing else decides an exit code, but a command may return one by setting `process.exitCode`.
 */
export async function run(program: Command, argv: readonly string[]): Promise<number> {
  withUsage(program);
  const interrupted = onInterrupt();
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    const { lines, exitCode } = outputFailed(program.name(), error);
    for (const line of lines) process.stderr.write(`${line}\n`);
    process.exit(exitCode);
  });
  try {
    await program.parseAsync(argv, { from: "user" });
    return interrupted.seen ? 130 : Number(process.exitCode ?? 0);
  } catch (thrown) {
    if (interrupted.seen) {
      // One that says how to go on is worth its line; else Ctrl-C needs no answer.
      if (thrown instanceof ConvocateError && thrown.code === "INTERRUPTED" && thrown.message !== INTERRUPTED)
        for (const line of errorLines(program.name(), thrown, false)) process.stderr.write(`${line}\n`);
      return 130;
    }
    // Its line is printed already (`withUsage`), and help asked for is no error.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    const error = toConvocateError(thrown);
    const verbose = argv.includes("--verbose");
    for (const line of errorLines(program.name(), error, verbose)) process.stderr.write(`${line}\n`);
    if (verbose && error.code === "INTERNAL" && error.cause instanceof Error)
      process.stderr.write(`${error.cause.stack ?? ""}\n`);
    return error.exitCode;
  } finally {
    interrupted.stop();
  }
}

/** How a program ends that cannot print. */
export function outputFailed(program: string, error: NodeJS.ErrnoException): { lines: string[]; exitCode: number } {
  // Whoever read our output has enough (`| head`): there is nobody left to print for, and that is no failure.
  if (error.code === "EPIPE") return { lines: [], exitCode: 0 };
  const why =
    error.code === "ENOSPC" ? "the disk behind it is full: make room" : `${error.message}: look where it goes`;
  const failed = new ConvocateError("IO_ERROR", `standard output cannot be written: ${why}, then run the same again`);
  return { lines: errorLines(program, failed, false), exitCode: failed.exitCode };
}

const INTERRUPTED = "interrupted";

/** Remembers a SIGINT without ending the process: commands hear it through `interruptSignal`. */
const controller = new AbortController();
/** Aborted by Ctrl-C; every command that waits takes it. A second Ctrl-C ends the process at once. */
export const interruptSignal: AbortSignal = controller.signal;

function onInterrupt(): { seen: boolean; stop(): void } {
  const state = { seen: false, stop: () => void process.off("SIGINT", listener) };
  const listener = (): void => {
    if (state.seen) process.exit(130);
    state.seen = true;
    controller.abort(new ConvocateError("INTERRUPTED", INTERRUPTED));
  };
  process.on("SIGINT", listener);
  return state;
}
