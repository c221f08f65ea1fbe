import { spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { ConvocateError } from "../../runtime/domain/index.js";

/** A program of this machine whose output is too much for a Connection, or no text. */
export interface LocalProgram {
  /** Takes nothing when the program reads nothing. */
  stdin: Writable | null;
  stdout: Readable;
  /** Rejects when it does not end with 0. */
  ended: Promise<void>;
}

/** Starts a program of this machine as the user that we are; the signal ends it. */
export function startHere(
  argv: readonly string[],
  signal: AbortSignal,
  stdin: "ignore" | "pipe" = "ignore",
): LocalProgram {
  const [program = "", ...args] = argv;
  const child = spawn(program, args, { stdio: [stdin, "pipe", "pipe"], signal });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-2000)));
  const ended = new Promise<void>((resolve, reject) => {
    child.once("error", reject).once("close", (code) => {
      if (code === 0) return resolve();
      const why = said.trim() || `exit ${code}`;
      reject(new ConvocateError("IO_ERROR", `${argv.slice(0, 2).join(" ")} failed on this machine: ${why}`));
    });
  });
  // Whoever waits for it may have failed before.
  ended.catch(() => undefined);
  if (!child.stdout) throw new ConvocateError("INTERNAL", `${program} has no output`);
  return { stdin: child.stdin, stdout: child.stdout, ended };
}

/** All that a program prints; its stderr is in the error when it fails. For what is known to be small. */
export async function outputHere(argv: readonly string[], signal: AbortSignal): Promise<Buffer> {
  const program = startHere(argv, signal);
  const chunks: Buffer[] = [];
  for await (const chunk of program.stdout as AsyncIterable<Buffer>) chunks.push(chunk);
  await program.ended;
  return Buffer.concat(chunks);
}
