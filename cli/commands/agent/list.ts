import { Command } from "commander";
import { listLocal } from "../../../runtime/agent/index.js";
import { printSessions, warnings } from "../../output/agent-list.js";
import { requireRoot } from "./root.js";

/** `convocate-agent list`: this host's sessions, with or without a running agent. */
export function agentList(): Command {
  return new Command("list")
    .description("list this host's sessions")
    .option("--json", "print them as JSON")
    .action(async (options: { json?: true }) => {
      requireRoot("list");
      const sessions = await listLocal({ log: warnings });
      printSessions(sessions, options.json === true);
    });
}
