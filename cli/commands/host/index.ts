import { Command } from "commander";
import { labelOption } from "../label.js";
import { publishedPort } from "../session/options.js";
import { count, withAuthorityOptions, withInitOptions, withStack, type RoleOptions } from "./options.js";
import type { DoctorOptions } from "./doctor.js";
import type { DrainOptions } from "./drain.js";
import type { InstallOptions } from "./install.js";
import type { MigrateOptions } from "./migrate.js";
import type { PlanOptions } from "./plan.js";
import type { RemoveOptions } from "./remove.js";
import type { UpdateOptions } from "./update.js";

/** The verbs of `convocate-host`. What they do is loaded when it is asked for: help must not wait for Pulumi. */
export function hostCommands(): Command[] {
  return [
    withAuthorityOptions(withInitOptions(new Command("init-shell")))
      .description("make a host the cluster's shell host, or repair it: edits the inventory, then rolls out")
      .option("--rotate-ca", "replace the certificate authority of log forwarding, and every certificate with it")
      .action(async (options: RoleOptions) => {
        const { init } = await import("./init.js");
        await init("shell", options);
      }),
    withAuthorityOptions(withInitOptions(new Command("init-agent")))
      .description("make a host an agent of the cluster, or repair it: edits the inventory, then rolls out")
      .option("--shell-host", "the shell host's machine is to be an agent too")
      .option(
        "--rotate-keys",
        "new keys between the shell host and this agent, accepted before the old ones are dropped",
      )
      .action(async (options: RoleOptions) => {
        const { init } = await import("./init.js");
        await init("agent", options);
      }),
    withInitOptions(new Command("install"))
      .description("get a host ready: packages, service user, time zone, firewall, our Node, security upgrades")
      .option("--shell", "a host that is not in the inventory yet is to be the shell host; an agent when left out")
      .option("--dist-upgrade", "upgrade every package, and reboot when that is needed; never this machine")
      .option("--no-upgrades", "leave security upgrades out")
      .action(async (options: InstallOptions) => {
        const { install } = await import("./install.js");
        await install(options);
      }),
    withStack(new Command("plan"))
      .description("what would change, drift included; exit code 2 when anything would")
      .option("--host <host>", "only what concerns this host: a name in the inventory, or an address")
      .addOption(labelOption("only what concerns agents with this label in the inventory"))
      .option("--json", "as JSON")
      .action(async (options: PlanOptions) => {
        const { showPlan } = await import("./plan.js");
        await showPlan(options);
      }),
    withStack(new Command("update"))
      .description("bring hosts to this checkout's release, one after another, each until its agent answers with it")
      .option("--host <host...>", "these hosts: names in the inventory, or addresses")
      .addOption(labelOption("the agents with this label in the inventory"))
      .option("--all", "every host of the inventory")
      .option("--release <release>", "refuse unless this checkout is that release")
      .option("--parallel <count>", "so many hosts at a time", count, 1)
      .action(async (options: UpdateOptions) => {
        const { update } = await import("./update.js");
        await update(options);
      }),
    withStack(new Command("drain"))
      .description("move every session of an agent to others; what runs is stopped, moved, and started there")
      .requiredOption("--host <host>", "the agent: a name in the inventory, or an address")
      .option("--to <agent>", "all to this agent")
      .option("--spread", "each to the agent with the most free capacity that takes it")
      .option("--json", "as JSON")
      .addHelpText("after", "\nExit code 1 when any session is left, each told with its reason. Run again, it goes on.")
      .action(async (options: DrainOptions) => {
        const { drain } = await import("./drain.js");
        await drain(options);
      }),
    withStack(new Command("migrate-session"))
      .description("take sessions of an earlier release from the shell host to an agent (rows with O)")
      .requiredOption("--agent <host>", "the agent: a name in the inventory, or an address")
      .option("--session <uuid>", "this one; a name that only one has will do")
      .option("--all", "all of them")
      .option("--port <number>", "publish this port there; -1: the first free one; its own unless told", publishedPort)
      .option("--json", "as JSON")
      .addHelpText(
        "after",
        "\nA directory goes when the agent has the session. Cut off, the same command completes it.",
      )
      .action(async (options: MigrateOptions) => {
        const { migrateSession } = await import("./migrate.js");
        await migrateSession(options);
      }),
    withStack(new Command("doctor"))
      .description(
        "look at units, ports, keys, clocks, certificates, Docker, disks, logs and names, and say what mends them",
      )
      .option("--host <host>", "only this host: a name in the inventory, or an address")
      .addOption(labelOption("only agents with this label in the inventory"))
      .option("--json", "as JSON")
      .action(async (options: DoctorOptions) => {
        const { doctor } = await import("./doctor.js");
        await doctor(options);
      }),
    withStack(new Command("remove"))
      .description("take an agent out of the cluster with all that convocate installed on it; session homes stay")
      .option("--host <host>", "the agent: a name in the inventory, or an address")
      .option("--all", "the whole cluster, the shell host too; what pulumi destroy does")
      .option("--force", "even while it has sessions, which are stopped, or cannot be reached any more")
      .option("--purge", "take sessions with their homes, images and the service user away as well")
      .option("--yes", "do not ask before --purge")
      .action(async (options: RemoveOptions) => {
        const { remove } = await import("./remove.js");
        await remove(options);
      }),
  ];
}
