import { Command, InvalidArgumentError } from "commander";
import { attach } from "../session/attach.js";
import type { Client } from "../session/client.js";
import { edit } from "../session/change.js";
import { logs } from "../session/logs.js";
import { ls } from "../session/ls.js";
import { clone, move } from "../session/move.js";
import { newSession } from "../session/new.js";
import { operations } from "../session/operate.js";
import { show } from "../session/show.js";
import { agents } from "./agents.js";
import { capacity } from "./capacity.js";
import { completion } from "./completion.js";
import { doctor } from "./doctor.js";
import { events } from "./events.js";
import { shellInstall } from "./install.js";
import { migrateOrphan } from "./migrate-orphan.js";
import { version } from "../version.js";
import { settings } from "./settings.js";
import { statusServe } from "./status-serve.js";
import { openTui, printFrame } from "./tui.js";

interface RootOptions {
  printFrame?: true;
  cols: number;
  rows: number;
}

/** The program `convocate`: the TUI with no arguments, the headless client with a verb. */
export function convocateProgram(client: Client): Command {
  const program = new Command("convocate")
    .usage("[options] [verb]")
    .description("Claude CLI sessions on many hosts, in one terminal. Without a verb: the TUI.")
    .argument("[verb...]", "see below; none opens the TUI")
    .option("--verbose", "print what caused an error")
    .option("--print-frame", "print one frame of the TUI and exit")
    .option("--cols <number>", "width of --print-frame", parseSize, 120)
    .option("--rows <number>", "height of --print-frame", parseSize, 40)
    .addHelpText("after", "\nExit codes: 0 done, 1 failed, 2 bad usage, 3 unreachable, 4 refused, 130 interrupted.")
    .action(async (words: string[], options: RootOptions) => {
      if (words.length > 0) unknownVerb(program);
      if (options.printFrame) await printFrame(client, options);
      else await openTui(client);
    });
  for (const command of [
    ls(client),
    show(client),
    newSession(client),
    attach(client),
    ...operations(client),
    edit(client),
    clone(client),
    move(client),
    logs(client),
    events(client),
    agents(client),
    capacity(client),
    settings(client),
    doctor(client),
    completion(client, program),
    shellInstall(),
    statusServe(),
  ])
    program.addCommand(command);
  program.addCommand(migrateOrphan(client), { hidden: true });
  return verbBeforeOptions(program.addCommand(version(client.out)));
}

/** What commander says itself; not in its types. */
type Refusing = Command & { unknownCommand(): never; unknownOption(flag: string): never };

/** What commander itself says where the program does nothing of its own: the verb, and one that is nearly it. */
function unknownVerb(program: Command): never {
  return (program as Refusing).unknownCommand();
}

/** An option behind a verb that is not there is the verb's, whatever it is: it is the verb that is wrong. */
function verbBeforeOptions(program: Command): Command {
  const refusing = program as Refusing;
  const unknownOption = refusing.unknownOption.bind(refusing);
  refusing.unknownOption = (flag) => (program.args[0]?.startsWith("-") ? unknownOption(flag) : unknownVerb(program));
  return program;
}

function parseSize(text: string): number {
  const size = Number(text);
  if (!/^[0-9]+$/.test(text) || size < 10 || size > 1000) throw new InvalidArgumentError("10 to 1000.");
  return size;
}
