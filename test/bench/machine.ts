import { readFile } from "node:fs/promises";
import { must } from "./exec.js";

const SETTING = "/proc/sys/fs/inotify/max_user_instances";
/** A host's systemd, journald, udev, cron, dockerd and the rest open about ten; all hosts of this machine share the limit. */
const PER_HOST = 16;

/**
 * Makes room for that many hosts beside what runs already: with the usual limit of 128, a systemd that finds no inotify
 * instance left ends at once. Says what it changes, and puts it back in the end.
 */
export async function roomForHosts(hosts: number): Promise<AsyncDisposable> {
  const before = Number(await readFile(SETTING, "utf8"));
  const needed = 128 + hosts * PER_HOST;
  const set = async (value: number): Promise<void> => {
    const sysctl = ["sysctl", "-q", "-w", `fs.inotify.max_user_instances=${value}`];
    await must(process.getuid?.() === 0 ? sysctl : ["sudo", ...sysctl], { timeoutMs: 30_000 });
  };
  if (before >= needed) return { [Symbol.asyncDispose]: async () => undefined };
  process.stderr.write(
    `bench: fs.inotify.max_user_instances goes from ${before} to ${needed} for this run: ${hosts} more hosts\n`,
  );
  await set(needed);
  return { [Symbol.asyncDispose]: () => set(before) };
}
