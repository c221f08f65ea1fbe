import { readFile, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { ConvocateError } from "../../runtime/domain/index.js";
import type { HostAddress, RunOptions } from "./types.js";

/** Ends what is for sudo on a command's input; the command's own follows. */
const INPUT_FOLLOWS = "convocate: input follows";
/** sudo reads the password, byte by byte, only where it wants one: what it left must not come to the command. */
const SKIP = `while IFS= read -r line && [ "$line" != '${INPUT_FOLLOWS}' ]; do :; done; exec "$@"`;

/** The argv that runs another as root; with a password file it wants `sudoInput` before the command's own input. */
export function sudoArgv(host: HostAddress, argv: readonly string[]): string[] {
  if (host.sudoPasswordFile === undefined) return ["sudo", "-n", "--", ...argv];
  return ["sudo", "-S", "-k", "-p", "", "--", "sh", "-c", SKIP, "sh", ...argv];
}

/** What must come first on the input of `sudoArgv`'s command: the password and a mark; undefined without a password file. */
export async function sudoInput(host: HostAddress): Promise<string | undefined> {
  if (host.sudoPasswordFile === undefined) return undefined;
  return `${await passwordIn(host.name, host.sudoPasswordFile)}\n${INPUT_FOLLOWS}\n`;
}

/** One input after the other. */
export function inputAfter(first: string, then: RunOptions["input"]): NonNullable<RunOptions["input"]> {
  if (!(then instanceof Readable)) return Buffer.concat([Buffer.from(first), Buffer.from(then ?? "")]);
  return Readable.from(
    (async function* () {
      yield Buffer.from(first);
      for await (const chunk of then) yield chunk as Buffer;
    })(),
  );
}

async function passwordIn(name: string, file: string): Promise<string> {
  const refuse = (why: string, cause?: unknown): never => {
    throw new ConvocateError("SUDO_NEEDS_PASSWORD", `${name}: the sudo password file ${file} ${why}`, { cause });
  };
  const { mode } = await stat(file).catch((error: unknown) =>
    refuse("cannot be read: make it, or name another", error),
  );
  if ((mode & 0o077) !== 0) refuse(`is open to others: chmod 600 ${file}`);
  const [password = ""] = (
    await readFile(file, "utf8").catch((error: unknown) => refuse("cannot be read", error))
  ).split("\n");
  return password === "" ? refuse("is empty: its first line is the password") : password;
}
