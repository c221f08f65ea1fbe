import type { Command, CommanderError } from "commander";
import { RELEASE } from "../../runtime/domain/index.js";

/** Narrowest column of descriptions that help still breaks lines for, so that 80 columns hold a verb with its arguments. */
const DESCRIPTION_COLUMNS = 30;

/**
 * What all programs have in common on their command line: `--version`, help that fits its terminal, and errors of usage that
 * are thrown and printed as every other: one line, with where to look.
 */
export function withUsage(program: Command): Command {
  program.version(RELEASE, "--version", "print the release");
  const visit = (command: Command, path: string): void => {
    command
      .exitOverride()
      .configureHelp({
        minWidthToWrap: DESCRIPTION_COLUMNS,
        subcommandTerm: (verb) => [verb.name(), ...verb.registeredArguments.map(argumentTerm)].join(" "),
      })
      .configureOutput({ outputError: (text, write) => write(`${usageLine(path, text)}\n`) });
    for (const verb of command.commands) visit(verb, `${path} ${verb.name()}`);
  };
  visit(program, program.name());
  return program.addHelpText("beforeAll", ({ command, error }) => {
    // Commander helps with the program where a verb is not there: it is the verb that is wrong.
    const verb = program.args[0] ?? "help";
    if (command === program && !error && verb !== "help" && !verb.startsWith("-"))
      (program as Command & { unknownCommand(): never }).unknownCommand();
    return "";
  });
}

function argumentTerm(argument: Command["registeredArguments"][number]): string {
  const text = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${text}>` : `[${text}]`;
}

/** Commander's words for a wrong command line as one line of ours. `path` is the program and its verb. */
export function usageLine(path: string, text: CommanderError["message"]): string {
  const said = text
    .trim()
    .replace(/^error: /, "")
    .replace(/\s*\(Did you mean (?:one of )?(.*?)\?\)$/s, "; did you mean $1?")
    .replace(/^command-argument value/, "argument")
    .replace(/ is invalid(?: for argument '[^']*')?\. /, " is wrong: ")
    .replace(/[.\s]+$/, "");
  return `${path}: ${said.replaceAll(/\s*\n\s*/g, " ")}: see \`${path} --help\``;
}
