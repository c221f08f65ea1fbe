import { Command } from "commander";
import { hostCommands } from "./commands/host/index.js";
import { version } from "./commands/version.js";
import { processOutput } from "./output/print.js";
import { run } from "./output/run.js";

const program = new Command("convocate-host")
  .description("Sets up and looks after the hosts of a cluster, from a checkout on the operator's machine.")
  .option("--verbose", "print what caused an error");
for (const command of hostCommands()) program.addCommand(command);
program.addCommand(version(processOutput));

process.exitCode = await run(program, process.argv.slice(2));
