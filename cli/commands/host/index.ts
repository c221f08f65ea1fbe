import { Command } from "commander";
import { withInitOptions, withStack, type InitOptions } from "./options.js";
import type { PlanOptions } from "./plan.js";

/** The verbs of `convocate-host`. What they do is loaded when it is asked for: help must not wait for Pulumi. */
export function hostCommands(): Command[] {
  return [
    withInitOptions(new Command("init-shell"))
      .description("make a host the cluster's shell host, or repair it: edits the inventory, then rolls out")
      .action(async (options: InitOptions) => {
        const { init } = await import("./init.js");
        await init("shell", options);
      }),
    withInitOptions(new Command("init-agent"))
      .description("make a host an agent of the cluster, or repair it: edits the inventory, then rolls out")
      .option("--shell-host", "the shell host's machine is to be an agent too")
      .action(async (options: InitOptions & { shellHost?: true }) => {
        const { init } = await import("./init.js");
        await init("agent", options);
      }),
    withStack(new Command("plan"))
      .description("what would change, drift included; exit code 2 when anything would")
      .option("--host <host>", "only what concerns this host: a name in the inventory, or an address")
      .option("--json", "as JSON")
      .action(async (options: PlanOptions) => {
        const { showPlan } = await import("./plan.js");
        await showPlan(options);
      }),
  ];
}
