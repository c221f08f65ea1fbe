import { Command, InvalidArgumentError } from "commander";
import { SettingsWanted, type EffectiveSettings, type SettingsChange } from "../../../runtime/domain/index.js";
import { printJson } from "../../output/json.js";
import { bytes } from "../../output/units.js";
import type { Client } from "../session/client.js";
import { size } from "../session/options.js";
import { LIST_TIMEOUT_MS, resolveAgent } from "../session/resolve.js";

type Setting = { what: string; takes: string } & (
  { key: keyof EffectiveSettings; kind: "number" | "size" } | { key: "cordoned"; kind: "flag" }
);

const PERCENT = "a whole number from 1 to 100";
const NAMES: Readonly<Record<string, Setting>> = {
  "cpu-percent": {
    key: "cpu_percent",
    kind: "number",
    what: "of the host's cores, sessions may pledge so much",
    takes: PERCENT,
  },
  "memory-percent": { key: "memory_percent", kind: "number", what: "of the host's memory", takes: PERCENT },
  "disk-percent": { key: "disk_percent", kind: "number", what: "of the file system of the homes", takes: PERCENT },
  cpus: {
    key: "cpus",
    kind: "number",
    what: "cores that a session without a limit pledges",
    takes: "more than 0 and at most 1024, as 0.5 or 2",
  },
  memory: {
    key: "memory_bytes",
    kind: "size",
    what: "memory of a session without a limit: pledge and cap",
    takes: "64M or more, as 512M or 2G",
  },
  disk: {
    key: "disk_bytes",
    kind: "size",
    what: "disk that a session without a limit pledges",
    takes: "1M or more, as 500M or 20G",
  },
  pids: {
    key: "pids",
    kind: "number",
    what: "processes of a session without a limit",
    takes: "a whole number from 16 to 4194304",
  },
  cordoned: {
    key: "cordoned",
    kind: "flag",
    what: "yes: it takes no new sessions, by new, clone or move",
    takes: "yes or no",
  },
};

/** `convocate settings`: an agent's settings, and changes to them that outlive a rollout. */
export function settings(client: Client): Command {
  return new Command("settings")
    .description("show an agent's settings, or change some: kept on the agent, over what the stack says")
    .argument("<agent>", "its name or id")
    .argument("[setting=value...]", "as memory=4G; `default` goes back to what the stack says", collect, {})
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `\nSettings:\n${Object.entries(NAMES)
        .map(([name, { what }]) => `  ${name.padEnd(16)}${what}`)
        .join("\n")}`,
    )
    .action(async (wanted: string, changes: SettingsChange, options: { json?: true }) => {
      await using cluster = await client.open();
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
      const agent = resolveAgent(cluster.agents(), wanted);
      const told =
        Object.keys(changes).length === 0
          ? await cluster.settings(agent.id)
          : await cluster.changeSettings(agent.id, changes);
      if (options.json) {
        printJson(client.out, "settings", { agent_id: agent.id, agent: agent.name, ...told });
        return;
      }
      for (const [name, setting] of Object.entries(NAMES)) {
        const changed = (told.changes[setting.key] ?? null) === null ? "" : "  (changed here)";
        client.out.line(`${name.padEnd(16)}${written(setting, told)}${changed}`);
      }
    });
}

function written(setting: Setting, told: { effective: EffectiveSettings; changes: SettingsChange }): string {
  if (setting.kind === "flag") return told.changes[setting.key] ? "yes" : "no";
  const value = told.effective[setting.key];
  return setting.kind === "size" ? bytes(value) : String(value);
}

const FLAGS: Readonly<Record<string, boolean>> = { yes: true, true: true, no: false, false: false };

function collect(text: string, before: SettingsChange): SettingsChange {
  const [name = "", value] = text.split("=", 2);
  // As --json prints it, too.
  const [, setting] = Object.entries(NAMES).find(([own, { key }]) => name === own || name === key) ?? [];
  if (!setting) throw new InvalidArgumentError(`there are the settings ${Object.keys(NAMES).join(", ")}.`);
  if (value === undefined) throw new InvalidArgumentError(`say what it is to be, as ${name}=VALUE.`);
  const wanted = value === "default" ? null : read(setting, value);
  const parsed = SettingsWanted.safeParse({ [setting.key]: wanted });
  if (!parsed.success || value === "") throw new InvalidArgumentError(`${name} is ${setting.takes}; or default.`);
  return { ...before, ...parsed.data };
}

function read({ kind }: Setting, value: string): number | boolean {
  switch (kind) {
    case "size":
      return size(value);
    case "number":
      return Number(value);
    case "flag": {
      const flag = FLAGS[value];
      if (flag === undefined) throw new InvalidArgumentError("say yes or no.");
      return flag;
    }
  }
}
