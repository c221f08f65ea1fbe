import type { Connection, RunOptions, RunResult } from "../connection/types.js";

/**
 * The argv that runs a POSIX sh script of ours with arguments. The script is a constant of the program; everything that
 * comes from outside is an argument (`"$1"`) or standard input, so nothing has to be quoted. Secrets go by standard input:
 * arguments are seen in `ps`. C locale, so that what tools print can be parsed.
 */
export function scriptArgv(script: string, args: readonly string[] = [], shell: "sh" | "bash" = "sh"): string[] {
  return ["env", "LC_ALL=C", shell, "-euc", script, "convocate", ...args];
}

/**
 * Defines `sha256`, which prints the SHA-256 of its standard input and a word. openssl uses the processor's instructions for it
 * and takes a fifth of the time of Debian's sha256sum, which says something from a hundred megabytes on.
 */
export const SHA256 = `
sha256() { if command -v openssl >/dev/null; then openssl dgst -sha256 -r; else sha256sum; fi; }`;

/** Runs such a script as root. */
export function runScript(
  connection: Connection,
  script: string,
  args: readonly string[] = [],
  options: RunOptions & { shell?: "sh" | "bash" } = {},
): Promise<RunResult> {
  const { shell, ...rest } = options;
  return connection.run(scriptArgv(script, args, shell), rest);
}

/** The part of a RunOptions that only carries a signal; `exactOptionalPropertyTypes` wants it left out, not undefined. */
export function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}
