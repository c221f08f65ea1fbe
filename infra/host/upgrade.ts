import { setTimeout as sleep } from "node:timers/promises";
import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { installedPackages, installPackages } from "./packages.js";
import { runScript, withSignal } from "./script.js";

const HOUR_MS = 3_600_000;

/** `apt-get dist-upgrade` without questions; a configuration file that somebody changed stays. */
const distUpgradeArgv = (): string[] => [
  "env",
  "DEBIAN_FRONTEND=noninteractive",
  "NEEDRESTART_SUSPEND=1",
  "apt-get",
  "-q",
  "-y",
  "-o",
  "DPkg::Lock::Timeout=300",
  "-o",
  "Dpkg::Options::=--force-confdef",
  "-o",
  "Dpkg::Options::=--force-confold",
  "dist-upgrade",
];

interface Options {
  signal?: AbortSignal;
  progress?: (message: string) => void;
}

/**
 * Security upgrades, by the distribution's own tool: it knows which archives of Debian and of Ubuntu those are. Nothing is
 * turned on that would upgrade by itself later.
 */
export async function securityUpgrades(connection: Connection, options: Options = {}): Promise<void> {
  const installed = await installedPackages(connection, options.signal);
  if (installed.has("unattended-upgrades")) {
    options.progress?.("apt-get update");
    await runScript(connection, "apt-get -q -o DPkg::Lock::Timeout=300 update", [], {
      timeoutMs: 300_000,
      ...withSignal(options.signal),
    });
  } else await installPackages(connection, ["unattended-upgrades"], options);
  options.progress?.("security upgrades");
  await connection.run(["env", "DEBIAN_FRONTEND=noninteractive", "unattended-upgrade"], {
    timeoutMs: HOUR_MS,
    ...withSignal(options.signal),
  });
}

export async function distUpgrade(connection: Connection, options: Options = {}): Promise<void> {
  options.progress?.("apt-get dist-upgrade");
  await connection.run(distUpgradeArgv(), { timeoutMs: HOUR_MS, ...withSignal(options.signal) });
}

/** Both distributions leave this file when a kernel or a library wants a boot; a newer kernel in /boot says so too. */
const NEEDED = `
[ ! -e /run/reboot-required ] && [ ! -e /var/run/reboot-required ] || { echo yes; exit 0; }
newest=$(ls -1 /boot/vmlinuz-* 2>/dev/null | sed 's|.*/vmlinuz-||' | sort -V | tail -n 1)
if [ -n "$newest" ] && [ "$newest" != "$(uname -r)" ]; then echo yes; else echo no; fi`;

export async function rebootNeeded(connection: Connection, signal?: AbortSignal): Promise<boolean> {
  return (await runScript(connection, NEEDED, [], withSignal(signal))).stdout.trim() === "yes";
}

const BOOT_ID = ["cat", "/proc/sys/kernel/random/boot_id"];
/** systemd's own start: a container that stands for a host shares the kernel's boot id with its neighbours. */
const STARTED = ["systemctl", "show", "-p", "UserspaceTimestampMonotonic", "-p", "UserspaceTimestamp", "--value"];
const BOOT_MS = 600_000;

/** Boots the host and waits until it answers as one that was booted since; never this machine. */
export async function reboot(connection: Connection, options: Options = {}): Promise<void> {
  const { name, via } = connection.host;
  if (via === "local")
    throw new ConvocateError("REFUSED", `${name} is this machine, which is not rebooted under you: reboot it yourself`);
  const bootOf = async (): Promise<string> => {
    const runs = [BOOT_ID, STARTED].map((argv) =>
      connection.run(argv, { timeoutMs: 10_000, ...withSignal(options.signal) }),
    );
    return (await Promise.all(runs)).map(({ stdout }) => stdout.trim()).join(" ");
  };
  const before = await bootOf();
  options.progress?.("rebooting");
  // Its connection may go before it answers.
  await connection.run(["systemctl", "reboot"], { allowFailure: true, timeoutMs: 20_000 }).catch(() => undefined);
  for (const deadline = Date.now() + BOOT_MS; Date.now() < deadline;) {
    await sleep(2_000, undefined, withSignal(options.signal));
    const now = await bootOf().catch(() => before);
    if (now !== before) return;
  }
  throw new ConvocateError(
    "TIMEOUT",
    `${name} did not come back within ${BOOT_MS / 60_000} minutes of its reboot: look at its console`,
  );
}
