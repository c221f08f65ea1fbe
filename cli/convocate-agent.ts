import { Command } from "commander";
import { agentInstall } from "./commands/agent/install.js";
import { agentList } from "./commands/agent/list.js";
import { agentServe } from "./commands/agent/serve.js";
import { version } from "./commands/version.js";
import { processOutput } from "./output/print.js";
import { run } from "./output/run.js";

const program = new Command("convocate-agent")
  .description("Runs the sessions of this host. As root; see `convocate-host` for how it gets here.")
  .option("--verbose", "print what caused an error")
  .addCommand(agentInstall())
  .addCommand(agentServe())
  .addCommand(agentList())
  .addCommand(version(processOutput));

process.exitCode = await run(program, process.argv.slice(2));
