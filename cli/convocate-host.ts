import { Command } from "commander";
import { RELEASE } from "../runtime/domain/index.js";
import { hostCommands } from "./commands/host/index.js";
import { run } from "./output/run.js";

const program = new Command("convocate-host")
  .description("Sets up and looks after the hosts of a cluster, from a checkout on the operator's machine.")
  .option("--verbose", "print what caused an error")
  .showHelpAfterError();
for (const command of hostCommands()) program.addCommand(command);
program
  .command("version")
  .description("print the release")
  .action(() => void process.stdout.write(`${RELEASE}\n`));

process.exitCode = await run(program, process.argv.slice(2));
