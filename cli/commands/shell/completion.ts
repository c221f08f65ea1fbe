import { Argument, Command } from "commander";
import { completionScript, SHELLS, type Shell } from "../../output/completion.js";
import type { Client } from "../session/client.js";
import { LIST_TIMEOUT_MS } from "../session/resolve.js";

/** `convocate completion`: a script for the user's shell. Hidden words after it answer what that script asks. */
export function completion(client: Client, program: Command): Command {
  return new Command("completion")
    .description("print a completion script: source <(convocate completion bash)")
    .addArgument(new Argument("<shell>", "bash, zsh or fish").choices([...SHELLS, "sessions", "agents"]))
    .action(async (what: Shell | "sessions" | "agents") => {
      if (what !== "sessions" && what !== "agents") {
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
