import { readFileSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { SESSIONS_SLICE } from "../../domain/index.js";
import { isMissing } from "../../protocol/files.js";

/** Where systemd puts the slice: a slice lies below those whose names its own begins with (systemd.slice(5)). */
const SLICE_PATH = `convocate.slice/${SESSIONS_SLICE}`;
/** Above this a v1 memory limit means none: the kernel rounds "no limit" to pages below 2^63. */
const NO_LIMIT = 2 ** 62;

/** What the kernel says of the sessions' slice. Null where it does not say. */
export interface SliceUse {
  /** Whether the slice has a group at all. */
  present: boolean;
  /** Processor time since it was made, in microseconds. */
  cpuUs: number | null;
  /** Without the pages that the kernel could drop at once. */
  memoryBytes: number | null;
  cpuLimited: boolean;
  memoryLimited: boolean;
}

/** The control groups of this host, as far as sessions are concerned. */
export interface Cgroups {
  /** 1 also for hosts that have both. */
  version(): Promise<1 | 2>;
  slice(): Promise<SliceUse>;
  /** Whether a process lies in the slice with its processors, memory and pids; null when there is no such process. */
  inSlice(pid: number): Promise<boolean | null>;
  /** How often the kernel killed for want of memory in a container of the slice since that was started; 0 when unknown. */
  oomKills(containerId: string): Promise<number>;
}

/** Reads /sys/fs/cgroup and /proc; tests put them elsewhere. */
export class HostCgroups implements Cgroups {
  readonly #root: string;
  readonly #proc: string;
  /** As it was when this host booted. */
  #version: 1 | 2 | undefined;

  constructor({ root = "/sys/fs/cgroup", proc = "/proc" }: { root?: string; proc?: string } = {}) {
    this.#root = root;
    this.#proc = proc;
  }

  async version(): Promise<1 | 2> {
    this.#version ??= (await exists(join(this.#root, "cgroup.controllers"))) ? 2 : 1;
    return this.#version;
  }

  async slice(): Promise<SliceUse> {
    if ((await this.version()) === 2) {
      const at = (file: string): string => join(this.#root, SLICE_PATH, file);
      const [cpu, memory, stats, cpuMax, memoryMax] = await Promise.all(
        ["cpu.stat", "memory.current", "memory.stat", "cpu.max", "memory.max"].map((file) => text(at(file))),
      );
      return {
        present: await exists(at("cgroup.procs")),
        cpuUs: field(cpu, "usage_usec"),
        memoryBytes: without(number(memory), field(stats, "inactive_file")),
        cpuLimited: cpuMax !== undefined && !cpuMax.startsWith("max"),
        memoryLimited: number(memoryMax) !== null,
      };
    }
    const at = (controller: string, file: string): string => join(this.#root, controller, SLICE_PATH, file);
    const [cpuStat, cpuNs, memory, stats, quota, limit] = await Promise.all([
      // A host with both hierarchies counts processor time in v2's, whoever has the controller.
      text(at("unified", "cpu.stat")),
      text(at("cpuacct", "cpuacct.usage")),
      text(at("memory", "memory.usage_in_bytes")),
      text(at("memory", "memory.stat")),
      text(at("cpu", "cpu.cfs_quota_us")),
      text(at("memory", "memory.limit_in_bytes")),
    ]);
    const nanoseconds = number(cpuNs);
    return {
      present: (await exists(at("memory", ""))) && (await exists(at("cpu", ""))),
      cpuUs: field(cpuStat, "usage_usec") ?? (nanoseconds === null ? null : nanoseconds / 1000),
      memoryBytes: without(number(memory), field(stats, "total_inactive_file")),
      cpuLimited: (number(quota) ?? -1) > 0,
      memoryLimited: (number(limit) ?? NO_LIMIT) < NO_LIMIT,
    };
  }

  async inSlice(pid: number): Promise<boolean | null> {
    const groups = pid > 0 ? textNow(join(this.#proc, String(pid), "cgroup")) : undefined;
    if (!groups) return null;
    // `4:cpu,cpuacct:/convocate.slice/…` for each v1 hierarchy, `0::/…` for v2's (cgroups(7)).
    const lines = groups
      .trim()
      .split("\n")
      .map((line) => /^\d+:([^:]*):(.*)$/.exec(line))
      .map((match) => ({ controllers: match?.[1]?.split(",") ?? [], path: match?.[2] ?? "" }));
    const here = (path: string): boolean => path.startsWith(`/${SLICE_PATH}/`);
    if ((await this.version()) === 2) return lines.some(({ controllers, path }) => controllers[0] === "" && here(path));
    return ["cpu", "memory", "pids"].every((wanted) =>
      lines.some(({ controllers, path }) => controllers.includes(wanted) && here(path)),
    );
  }

  async oomKills(containerId: string): Promise<number> {
    const scope = join(SLICE_PATH, `docker-${containerId}.scope`);
    const path =
      (await this.version()) === 2
        ? join(this.#root, scope, "memory.events")
        : join(this.#root, "memory", scope, "memory.oom_control");
    return field(textNow(path), "oom_kill") ?? 0;
  }
}

/**
 * A short file that the kernel answers without waiting for anything. At once, since one is read for each session of each
 * list, and another before each start is answered: the other way takes four turns of the thread pool, and 64 KiB for a file
 * whose size is not known.
 */
function textNow(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

async function text(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch {
    // A group comes and goes with its processes, and a kernel may lack a file: unknown, whatever the reason.
    return undefined;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** A file of one number; null for `max` and for none. */
function number(content: string | undefined): number | null {
  const value = content === undefined || content.trim() === "" ? NaN : Number(content);
  return Number.isFinite(value) ? value : null;
}

/** The value beside a name, in a file with one of each a line. */
function field(content: string | undefined, name: string): number | null {
  const line = content?.split("\n").find((one) => one.startsWith(`${name} `));
  return number(line?.slice(name.length + 1));
}

function without(whole: number | null, part: number | null): number | null {
  return whole === null ? null : Math.max(0, whole - (part ?? 0));
}
