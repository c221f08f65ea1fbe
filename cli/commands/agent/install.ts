import { Command } from "commander";
import { adoptSessions } from "../../../runtime/agent/index.js";
import { printAdoption, warnings } from "../../output/agent-list.js";
import { requireRoot } from "./root.js";

const HELP = `
Sessions of an earlier release are directories below the service user's home that are named by a UUID and have a
session.json. They become sessions of this agent with their name, port and DNS name; what is in them is left alone. Every
start of the agent does the same; this also prints what it refuses. A directory that is refused stays as it is, and each is
told with its reason; that is no failure of the command (exit 0), so that a stray directory does not stop a script. When
there is something to adopt and the agent runs, it is restarted; sessions go on.`;

/** `convocate-agent install`: adopts what an earlier release left on this host. */
export function agentInstall(): Command {
  return new Command("install")
    .description("adopt the sessions that an earlier release left on this host")
    .option("--json", "print what was adopted and refused as JSON")
    .addHelpText("after", HELP)
    .action(async (options: { json?: true }) => {
      requireRoot("install");
      printAdoption(await adoptSessions({ log: warnings }), options.json === true);
    });
}
