import { Command, CommanderError, InvalidArgumentError } from "commander";
import { describe, expect, test } from "@jest/globals";
import { withUsage } from "./usage.js";

/** What a command line prints on stderr, and on stdout. */
async function said(...argv: string[]): Promise<{ err: string; out: string; exitCode: number }> {
  let err = "";
  let out = "";
  const program = new Command("prog").description("for tests");
  program.configureOutput({ writeErr: (text) => (err += text), writeOut: (text) => (out += text) });
  const verb = new Command("list").argument("<what>", "which", (text) => {
    if (text === "bad") throw new InvalidArgumentError("letters only.");
    return text;
  });
  verb.option("--count <number>", "so many", (text) => {
    throw new InvalidArgumentError(`${text.length} digits at most.`);
  });
  verb.option("--color", "in colour").action(() => undefined);
  program.addCommand(verb.copyInheritedSettings(program));
  try {
    await withUsage(program).parseAsync(argv, { from: "user" });
    return { err, out, exitCode: 0 };
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    return { err, out, exitCode: thrown.exitCode };
  }
}

describe("a wrong command line", () => {
  test.each([
    [["list", "x", "--foo"], "prog list: unknown option '--foo': see `prog list --help`"],
    [["list", "x", "--colour"], "prog list: unknown option '--colour'; did you mean --color?: see `prog list --help`"],
    [["lost"], "prog: unknown command 'lost'; did you mean list?: see `prog --help`"],
    [["lost", "--help"], "prog: unknown command 'lost'; did you mean list?: see `prog --help`"],
    [["list"], "prog list: missing required argument 'what': see `prog list --help`"],
    [["list", "bad"], "prog list: argument 'bad' is wrong: letters only: see `prog list --help`"],
    [
      ["list", "x", "--count", "no"],
      "prog list: option '--count <number>' argument 'no' is wrong: 2 digits at most: see `prog list --help`",
    ],
    [["list", "x", "--count"], "prog list: option '--count <number>' argument missing: see `prog list --help`"],
  ])("%j is told in one line, with where to look", async (argv, line) => {
    expect(await said(...argv)).toEqual({ err: `${line}\n`, out: "", exitCode: 1 });
  });
});

test("--version prints the release, and --help a verb with its arguments", async () => {
  expect(await said("--version")).toMatchObject({ out: expect.stringMatching(/^\S+\n$/), exitCode: 0 });
  expect((await said("--help")).out).toMatch(/^ {2}list <what>/m);
  expect(await said("list", "--help")).toMatchObject({ err: "", out: expect.stringContaining("--color"), exitCode: 0 });
});
