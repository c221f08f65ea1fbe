import type { Inventory } from "../inventory/index.js";

/** What an agent needs on the shell host, by the names that components give it (components/agent-host.ts). */
export const AT_SHELL = ["registration", "shell-to-agent-key", "status-authorized-key", "log-agent", "ready"] as const;

/** What every host has whatever its role (components/base.ts). */
const BASE = ["base", "packages", "user", "runtime", "firewall", "rsyslog", "time-zone"] as const;

/** Patterns of the URNs of a host's base alone, with what stands above it. An agent on the shell's machine has the shell's. */
export function baseOf(inventory: Inventory, name: string): string[] {
  const agent = inventory.agents.find((one) => one.name === name);
  const machine = agent?.onShellHost === true ? inventory.shell.name : name;
  return [`**::${inventory.cluster}`, ...BASE.map((what) => `**::${machine}/${what}`)];
}

/**
 * Patterns of the URNs of what is to be left alone: everything of these hosts; and when the shell host cannot be reached,
 * what the other agents have there. Names are host name labels, so none has a character that means something in a pattern.
 */
export function excluded(inventory: Inventory, names: readonly string[], { shellIsSilent = false } = {}): string[] {
  const whole = names.flatMap((name) => [`**::${name}`, `**::${name}/**`]);
  if (!shellIsSilent) return whole;
  return [
    ...whole,
    ...inventory.agents
      .filter(({ name }) => !names.includes(name))
      .flatMap(({ name }) => AT_SHELL.map((what) => `**::${name}/${what}`)),
  ];
}
