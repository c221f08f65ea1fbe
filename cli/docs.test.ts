import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import type { Command } from "commander";
import { agentInstall } from "./commands/agent/install.js";
import { agentList } from "./commands/agent/list.js";
import { agentServe } from "./commands/agent/serve.js";
import { hostCommands } from "./commands/host/index.js";
import { processClient } from "./commands/session/client.js";
import { convocateProgram } from "./commands/shell/program.js";

const PROGRAMS: Readonly<Record<string, readonly Command[]>> = {
  convocate: convocateProgram(processClient).commands,
  "convocate-host": hostCommands(),
  "convocate-agent": [agentInstall(), agentServe(), agentList()],
};
const COMMAND = /^(?:.*\b(?:sudo(?: -u claude)?|ssh \S+) |script\/)?(convocate(?:-host|-agent)?) ([a-z][a-z-]*)(.*)$/;

/** What stands as code in a page: indented lines, without the words beside them, and what is between backticks. */
function codeOf(markdown: string): string[] {
  const lines = markdown.split("\n").filter((line) => line.startsWith("    "));
  const spans = [...markdown.matchAll(/`([^`]+)`/g)].map(([, span = ""]) => span.replaceAll(/\s+/g, " "));
  return [...lines.map((line) => line.trim().split(/ {2,}| #/)[0] ?? ""), ...spans];
}

/** The commands of a page whose verb or option there is not. */
function unknownIn(markdown: string): string[] {
  return codeOf(markdown).filter((code) => {
    const [, program = "", verb = "", rest = ""] = COMMAND.exec(code) ?? [];
    if (program === "" || verb === "version") return false;
    const command = PROGRAMS[program]?.find((one) => one.name() === verb);
    const known = command?.options.flatMap(({ long, short }) => [long, short]) ?? [];
    const options = (rest.split("|")[0] ?? "").split(/[ [\]]+/).filter((word) => /^--?[a-z]/.test(word));
    return !command || options.some((option) => !known.includes(option));
  });
}

test.each([
  "README.md",
  "CONTRIBUTING.md",
  "infra/stacks/example.yaml",
  ...readdirSync("docs")
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
])("every command that %s names is there, with those options", (page) => {
  expect(unknownIn(readFileSync(page, "utf8"))).toEqual([]);
});

test("a verb that there is not is seen, and an option of another verb", () => {
  const page = "`convocate\nlist`, `convocate ls --json`\n    script/convocate-host plan --spread   a word beside it\n";
  expect(unknownIn(page)).toEqual(["script/convocate-host plan --spread", "convocate list"]);
});
