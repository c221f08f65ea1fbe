import { processClient } from "./commands/session/client.js";
import { convocateProgram } from "./commands/shell/program.js";
import { run } from "./output/run.js";

process.exitCode = await run(convocateProgram(processClient), process.argv.slice(2));
