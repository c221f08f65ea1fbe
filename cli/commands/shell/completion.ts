import { Argument, Command, InvalidArgumentError } from "commander";
import { completionScript, SHELLS, type Shell } from "../../output/completion.js";
import type { Client } from "../session/client.js";
import { LIST_TIMEOUT_MS } from "../session/resolve.js";

/** What a script asks for; not for people. */
const NAMES = ["sessions", "agents"] as const;
type Word = Shell | (typeof NAMES)[number];

const isShell = (word: string): word is Shell => SHELLS.some((shell) => shell === word);

function known(word: string): Word {
  const name = NAMES.find((one) => one === word);
  if (name !== undefined) return name;
  if (isShell(word)) return word;
  throw new InvalidArgumentError(`it must be one of ${SHELLS.join(", ")}`);
}

/** `convocate completion`: a script for the user's shell. Hidden words after it answer what that script asks. */
export function completion(client: Client, program: Command): Command {
  return new Command("completion")
    .description("print a completion script: source <(convocate completion bash)")
    .addArgument(new Argument("<shell>", "whose script").choices(SHELLS).argParser(known))
    .action(async (what: Word) => {
      if (isShell(what)) {
        client.out.drawn(completionScript(program, what));
        return;
      }
      await using cluster = await client.open("when-needed");
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
      const names =
        what === "agents"
          ? cluster.agents().map(({ name }) => name)
          : cluster.sessions().map(({ session }) => session.name);
      for (const name of [...new Set(names)].sort()) client.out.line(name);
    });
}
