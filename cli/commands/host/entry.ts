import { hostname } from "node:os";
import { isIP } from "node:net";
import { ConvocateError } from "../../../runtime/domain/index.js";
import type { InventoryEdit, RawEntry, Role } from "../../../infra/inventory/index.js";
import type { InitOptions } from "./options.js";

/** The inventory's entry that a command means: one that is there, or the beginning of a new one. */
export function entryFor(edit: InventoryEdit, role: Role, options: InitOptions & { shellHost?: true }): RawEntry {
  if (options.shellHost) return onShellHost(edit, options);
  const address = options.host ?? "local";
  const there = edit.find(role, address);
  if (there) {
    if (options.name === undefined || options.name === there.name) return there;
    throw new ConvocateError(
      "BAD_USAGE",
      `${address} is ${there.name} in the inventory: leave --name out, or rename it there`,
    );
  }
  const [shell] = edit.all("shell");
  if (role === "shell" && shell)
    throw new ConvocateError(
      "REFUSED",
      `this stack's shell host is ${shell.name} at ${shell.address}, not ${address}: name that one, or another stack (--stack)`,
    );
  // The inventory would be refused for it, by a line that is in no file.
  const elsewhere = [...edit.all("shell"), ...edit.all("agent")].some((other) => other.address !== "local");
  if (options.host === undefined && elsewhere)
    throw new ConvocateError(
      "BAD_USAGE",
      "without --host this machine is meant, and the inventory does not have it: say --host HOST, or write this machine " +
        "into it with address local and, as clusterAddress, where the other hosts reach it",
    );
  return { role, name: options.name ?? nameOf(address), address };
}

/** The shell host as an agent: one machine, logged in to in one way. */
function onShellHost(edit: InventoryEdit, options: InitOptions): RawEntry {
  const [shell] = edit.all("shell");
  if (!shell)
    throw new ConvocateError("BAD_USAGE", "the inventory has no shell host yet: run convocate-host init-shell first");
  if (options.host !== undefined && options.host !== shell.name && options.host !== shell.address)
    throw new ConvocateError("BAD_USAGE", `--shell-host means ${shell.name} at ${shell.address}: leave --host out`);
  const there = edit.all("agent").find((agent) => agent.address === shell.address && agent.port === shell.port);
  return there ?? { ...shell, role: "agent", name: options.name ?? shell.name };
}

/** `worker-1` of `worker-1.example.org`; an IP address has no name in it. */
function nameOf(address: string): string {
  const name = (address === "local" ? hostname() : address).split(".")[0]?.toLowerCase() ?? "";
  if (isIP(address) === 0 && /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) return name;
  throw new ConvocateError("BAD_USAGE", `${address} is not in the inventory: give it a name with --name`);
}
