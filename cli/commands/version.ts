import { Command } from "commander";
import { RELEASE } from "../../runtime/domain/index.js";
import { printJson } from "../output/json.js";
import type { Output } from "../output/print.js";

/** `version`, of every program. */
export function version(out: Output): Command {
  return new Command("version")
    .description("print the release")
    .option("--json", "print JSON")
    .action((options: { json?: true }) => {
      if (options.json) printJson(out, "version", { release: RELEASE });
      else out.line(RELEASE);
    });
}
