import { readFileSync } from "node:fs";

/**
 * What is the same until the host boots again: the kernel's boot id, and when process 1 began, because a host that is itself
 * a container boots without its kernel. `proc` is where procfs is mounted. Throws what node:fs throws.
 */
export function bootId(proc = "/proc"): string {
  const kernel = readFileSync(`${proc}/sys/kernel/random/boot_id`, "utf8").trim();
  const stat = readFileSync(`${proc}/1/stat`, "utf8");
  // Fields after the name in parentheses, which may hold anything; the 22nd of all is the start time (proc(5)).
  const began = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  return `${kernel}/${began}`;
}
