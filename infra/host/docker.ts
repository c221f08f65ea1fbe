import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { removeEntries, writeEntries } from "./files.js";
import { runScript, withSignal } from "./script.js";
import { bringUp } from "./systemd.js";

const DAEMON_JSON = "/etc/docker/daemon.json";

/** What convocate needs of a Docker daemon (SPEC 6.4, 7). */
export interface DaemonFound {
  /** daemon.json asks for the systemd cgroup driver, and for live-restore. */
  file: { systemdCgroups: boolean; liveRestore: boolean };
  /** What the running daemon does; null when none answers. */
  live: { systemdCgroups: boolean; liveRestore: boolean } | null;
  enabled: boolean;
  /** daemon.json as it is; empty when missing. */
  text: string;
}

const READ = `
cat -- ${DAEMON_JSON} 2>/dev/null || :
echo
echo ===
timeout 20 docker info --format '{{.CgroupDriver}} {{.LiveRestoreEnabled}}' 2>/dev/null || :
echo ===
systemctl is-enabled docker.service 2>/dev/null || :`;

interface DaemonFile {
  "exec-opts"?: unknown;
  "live-restore"?: unknown;
  [key: string]: unknown;
}

function parseDaemonFile(text: string): DaemonFile | null {
  if (text.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as DaemonFile) : null;
  } catch {
    return null;
  }
}

const CGROUP_OPTION = "native.cgroupdriver=systemd";
const execOptions = (file: DaemonFile): string[] =>
  Array.isArray(file["exec-opts"]) ? file["exec-opts"].filter((option) => typeof option === "string") : [];

/** Parses READ. Pure. */
export function parseDaemon(stdout: string): DaemonFound {
  const [text = "", info = "", enabled = ""] = stdout.split(/^===$/m);
  const file = parseDaemonFile(text) ?? {};
  const [driver, liveRestore] = info.trim().split(" ");
  return {
    file: { systemdCgroups: execOptions(file).includes(CGROUP_OPTION), liveRestore: file["live-restore"] === true },
    live: driver ? { systemdCgroups: driver === "systemd", liveRestore: liveRestore === "true" } : null,
    enabled: enabled.trim() === "enabled",
    // Less the line end that READ adds.
    text: text.replace(/\n$/, ""),
  };
}

/** daemon.json with our two settings in it and everything else kept; BAD_REQUEST when it is no JSON object. Pure. */
export function mergeDaemonFile(text: string, host: string): string {
  const file = parseDaemonFile(text);
  if (!file)
    throw new ConvocateError(
      "BAD_REQUEST",
      `${host}: ${DAEMON_JSON} is not a JSON object; mend it by hand, then run this again`,
    );
  const others = execOptions(file).filter((option) => !option.startsWith("native.cgroupdriver="));
  return `${JSON.stringify({ ...file, "exec-opts": [...others, CGROUP_OPTION], "live-restore": true }, null, 2)}\n`;
}

export async function readDaemon(connection: Connection, signal?: AbortSignal): Promise<DaemonFound> {
  const { stdout } = await runScript(connection, READ, [], withSignal(signal));
  return parseDaemon(stdout);
}

/**
 * Puts daemon.json back as it was before ours, unless somebody changed it since. The daemon itself goes on: what it runs is
 * not ours, and its next start reads the file.
 */
export async function putDaemonFileBack(connection: Connection, before: string, signal?: AbortSignal): Promise<void> {
  const { text } = await readDaemon(connection, signal);
  if (text !== mergeDaemonFile(before, connection.host.name)) return;
  if (before.trim() === "") await removeEntries(connection, [DAEMON_JSON], signal);
  else
    await writeEntries(
      connection,
      { [DAEMON_JSON]: { type: "file", content: before, mode: "0644", owner: "root", group: "root" } },
      signal,
    );
}

/**
 * Makes the daemon so, and tells how it was. A reload turns live-restore on, so that containers outlive the restart that a new cgroup driver
 * wants; without a change there is no restart.
 */
export async function setUpDaemon(
  connection: Connection,
  progress: (message: string) => void,
  signal?: AbortSignal,
): Promise<DaemonFound> {
  const options = { timeoutMs: 120_000, ...withSignal(signal) };
  const found = await readDaemon(connection, signal);
  if (!found.file.systemdCgroups || !found.file.liveRestore) {
    const content = mergeDaemonFile(found.text, connection.host.name);
    const ownership = { mode: "0644", owner: "root", group: "root" };
    await writeEntries(connection, { [DAEMON_JSON]: { type: "file", content, ...ownership } }, signal);
  }
  if (!found.enabled) await connection.run(["systemctl", "enable", "docker.service"], options);
  if (!found.live) {
    await bringUp(connection, "start", "docker.service", signal);
    return found;
  }
  if (!found.live.liveRestore) await connection.run(["systemctl", "reload", "docker.service"], options);
  if (!found.live.systemdCgroups) {
    progress("restarting Docker for the systemd cgroup driver");
    await bringUp(connection, "restart", "docker.service", signal);
  }
  return found;
}
