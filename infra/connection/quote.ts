import { ConvocateError } from "../../runtime/domain/index.js";

/** Words of these characters mean themselves in every POSIX shell; `=` is left out because `a=b` first is an assignment. */
const PLAIN = /^[A-Za-z0-9_/.,:@%+-]+$/;

/** One word of a POSIX shell command that the shell reads back as exactly `word`. */
export function quoteWord(word: string): string {
  if (word.includes("\0")) throw new ConvocateError("BAD_REQUEST", "an argument may not contain a NUL byte");
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** An argv as the one string that SSH sends: the login shell there splits it into the same argv again. */
export function quoteArgv(argv: readonly string[]): string {
  if (argv.length === 0 || argv[0] === "") throw new ConvocateError("BAD_REQUEST", "a command needs a program's name");
  return argv.map(quoteWord).join(" ");
}
