import { Command } from "commander";
import { RELEASE } from "../runtime/domain/index.js";
import { agentInstall } from "./commands/agent/install.js";
import { agentList } from "./commands/agent/list.js";
import { agentServe } from "./commands/agent/serve.js";
import { printLine } from "./output/agent-list.js";
import { run } from "./output/run.js";

const program = new Command("convocate-agent")
  .description("Runs the sessions of this host. As root; see `convocate-host` for how it gets here.")
  .option("--verbose", "print what caused an error")
  .showHelpAfterError()
  .addCommand(agentInstall())
  .addCommand(agentServe())
  .addCommand(agentList());
program
  .command("version")
  .description("print the release")
  .action(() => printLine(RELEASE));

process.exitCode = await run(program, process.argv.slice(2));
