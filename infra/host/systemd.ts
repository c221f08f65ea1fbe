import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { runScript, withSignal } from "./script.js";
import { LOOK, parseLook, type Found } from "./files.js";

export const unitPath = (unit: string): string => `/etc/systemd/system/${unit}`;

export const daemonReloadArgv = (): string[] => ["systemctl", "daemon-reload"];
export const systemctlArgv = (verb: "start" | "stop" | "restart" | "enable" | "disable", unit: string): string[] => [
  "systemctl",
  verb,
  unit,
];

/** What systemd says of a unit, beside what lies on disk. */
export interface UnitFound {
  file: Found;
  active: boolean;
  enabled: boolean;
  /** systemd has read another version of the file than the one on disk. */
  needsReload: boolean;
  /** Further properties that were asked for, as systemd prints them. */
  properties: Record<string, string>;
}

const READ = `
unit=$1 properties=$2
shift 2
systemctl show -p "ActiveState,UnitFileState,NeedDaemonReload$properties" -- "$unit"
echo ===
${LOOK}`;

/** Parses READ. Pure. */
export function parseUnit(stdout: string, path: string): UnitFound {
  const [show = "", look = ""] = stdout.split(/^===$/m);
  const properties: Record<string, string> = {};
  for (const line of show.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0) properties[line.slice(0, at)] = line.slice(at + 1);
  }
  const { ActiveState, UnitFileState, NeedDaemonReload, ...rest } = properties;
  return {
    file: parseLook(look, [path])[path] ?? { type: "missing" },
    active: ActiveState === "active",
    enabled: UnitFileState === "enabled",
    needsReload: NeedDaemonReload === "yes",
    properties: rest,
  };
}

export async function readUnit(
  connection: Connection,
  unit: string,
  properties: readonly string[] = [],
  signal?: AbortSignal,
): Promise<UnitFound> {
  const path = unitPath(unit);
  const more = properties.map((property) => `,${property}`).join("");
  const { stdout } = await runScript(connection, READ, [unit, more, path], withSignal(signal));
  return parseUnit(stdout, path);
}

/** Starts or restarts a unit and sees it active; COMMAND_FAILED with the last lines of its journal when it is not. */
export async function bringUp(
  connection: Connection,
  verb: "start" | "restart",
  unit: string,
  signal?: AbortSignal,
): Promise<void> {
  const options = { timeoutMs: 120_000, allowFailure: true, ...withSignal(signal) };
  const { exitCode } = await connection.run(systemctlArgv(verb, unit), options);
  // A service that dies at once is `activating` for a moment before systemd starts it again.
  const { stdout } = await connection.run(["systemctl", "is-active", "--", unit], options);
  if (exitCode === 0 && stdout.trim() === "active") return;
  const journal = await connection.run(["journalctl", "--no-pager", "-q", "-o", "cat", "-n", "5", "-u", unit], options);
  const said = journal.stdout.trim().split("\n").at(-1) ?? "";
  throw new ConvocateError(
    "COMMAND_FAILED",
    `${connection.host.name}: ${unit} did not come up (${stdout.trim()})${said ? `, it said: ${said}` : ""}; ` +
      `journalctl -u ${unit} on that host has more`,
  );
}
