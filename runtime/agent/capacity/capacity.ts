import { readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { totalmem } from "node:os";
import { SESSIONS_SLICE, type Capacity, type Resources } from "../../domain/index.js";
import type { Clock } from "../clock.js";
import type { Containers } from "../containers/containers.js";
import { cordonedText, type LiveSettings } from "../settings.js";
import type { Admission } from "./admission.js";
import type { Cgroups } from "./cgroups.js";

/** Two questions closer together than this share one answer: an average over less says nothing. */
const SHORTEST_MS = 1_000;

/** Lists as the kernel writes them, `0-3,8` (Documentation/admin-guide/cputopology.rst). */
const ONLINE_CPUS = "/sys/devices/system/cpu/online";

/** The host's own cores, memory, and the size of the file system that the homes are on (SPEC 7). */
export async function hostTotal(home: string): Promise<Resources> {
  const disk = await statfs(home);
  // Not os.cpus(), which reads of each what it is and does: each start asks.
  const cpus = countCpus(readFileSync(ONLINE_CPUS, "utf8"));
  return { cpus, memory_bytes: totalmem(), disk_bytes: disk.blocks * disk.bsize };
}

/** How many processors a list of the kernel's names. */
export function countCpus(list: string): number {
  return list
    .trim()
    .split(",")
    .map((range) => range.split("-").map(Number))
    .reduce((sum, [first = 0, last = first]) => sum + last - first + 1, 0);
}

interface Sample {
  atMs: number;
  cpuUs: number;
}

/** What the agent answers to `capacity`. */
export class CapacityReport {
  readonly #containers: Pick<Containers, "cgroupDriver">;
  readonly #cgroups: Cgroups;
  readonly #admission: Admission;
  readonly #diskUse: () => number | null;
  readonly #settings: Pick<LiveSettings, "cordoned" | "current">;
  readonly #clock: Clock;
  #sample: Sample | null = null;
  #cpus: number | null = null;

  constructor(options: {
    containers: Pick<Containers, "cgroupDriver">;
    cgroups: Cgroups;
    admission: Admission;
    /** Bytes of all homes. */
    diskUse: () => number | null;
    settings: Pick<LiveSettings, "cordoned" | "current">;
    clock: Clock;
  }) {
    this.#containers = options.containers;
    this.#cgroups = options.cgroups;
    this.#admission = options.admission;
    this.#diskUse = options.diskUse;
    this.#settings = options.settings;
    this.#clock = options.clock;
  }

  /** Takes a first look at the slice's processor time, so that the first answer has an average already. */
  async begin(): Promise<void> {
    this.#average((await this.#cgroups.slice()).cpuUs);
  }

  /** Throws DOCKER_ERROR or TIMEOUT when Docker does not say what runs. */
  async now(): Promise<Capacity> {
    const [{ total, allowed, pledged, sessions }, driver, version, slice] = await Promise.all([
      this.#admission.pledged(),
      this.#containers.cgroupDriver(),
      this.#cgroups.version(),
      this.#cgroups.slice(),
    ]);
    return {
      total,
      allowed,
      pledged: { ...pledged, sessions },
      used: { cpus: this.#average(slice.cpuUs), memory_bytes: slice.memoryBytes, disk_bytes: this.#diskUse() },
      cordoned: this.#settings.cordoned(),
      warnings: [
        ...(this.#settings.cordoned() ? [cordonedText(this.#settings.current().name)] : []),
        ...(version === 1 ? ["this host has cgroup v1: limits hold, but v2 accounts better"] : []),
        ...(driver === "systemd"
          ? []
          : [`Docker uses the cgroup driver ${driver}, so no session starts: run \`convocate-host init-agent\``]),
        ...limitWarnings(slice),
      ],
    };
  }

  #average(cpuUs: number | null): number | null {
    if (cpuUs === null) {
      this.#sample = null;
      return (this.#cpus = null);
    }
    const before = this.#sample;
    const atMs = this.#clock.monotonicMs();
    if (before && atMs - before.atMs < SHORTEST_MS) return this.#cpus;
    this.#sample = { atMs, cpuUs };
    // A slice that was made anew counts from 0.
    if (before && cpuUs >= before.cpuUs) this.#cpus = (cpuUs - before.cpuUs) / ((atMs - before.atMs) * 1000);
    return this.#cpus;
  }
}

function limitWarnings(slice: { present: boolean; cpuLimited: boolean; memoryLimited: boolean }): string[] {
  if (!slice.present) return [`${SESSIONS_SLICE} is not there: run \`convocate-host init-agent\``];
  const missing = [...(slice.cpuLimited ? [] : ["CPUQuota"]), ...(slice.memoryLimited ? [] : ["MemoryMax"])];
  return missing.length === 0
    ? []
    : [`${SESSIONS_SLICE} has no ${missing.join(" and no ")}: run \`convocate-host init-agent\``];
}
