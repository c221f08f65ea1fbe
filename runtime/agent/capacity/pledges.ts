import { SESSIONS_SLICE, type EffectiveSettings, type Limits, type Resources } from "../../domain/index.js";
import type { RunningContainer } from "../containers/engine.js";

const GIB = 1024 ** 3;

/** Whether a container with this cgroup parent lies in the sessions' slice, or in a slice below it. Pure. */
export function isInSlice(cgroupParent: string): boolean {
  const name = cgroupParent.split("/").at(-1) ?? "";
  const below = `${SESSIONS_SLICE.slice(0, -".slice".length)}-`;
  return name === SESSIONS_SLICE || (name.startsWith(below) && name.endsWith(".slice"));
}

/** What a session pledges that is to be started: its limits, or the agent's baselines (SPEC 7). Pure. */
export function pledgeOfSession(limits: Limits, settings: EffectiveSettings, usedBytes: number): Resources {
  return {
    cpus: limits.cpus ?? settings.cpus,
    memory_bytes: limits.memory_bytes ?? settings.memory_bytes,
    disk_bytes: Math.max(limits.disk_bytes ?? settings.disk_bytes, usedBytes),
  };
}

/** What a running container pledges by what Docker says of it, whoever started it. Pure. */
export function pledgeOfContainer(
  container: RunningContainer,
  settings: EffectiveSettings,
  diskBytes: number,
): Resources {
  return {
    cpus: container.cpus ?? settings.cpus,
    memory_bytes: container.memoryBytes ?? settings.memory_bytes,
    disk_bytes: diskBytes,
  };
}

/** The shares of the host that all sessions together may pledge. Pure. */
export function allowedOf(total: Resources, settings: EffectiveSettings): Resources {
  return {
    cpus: (total.cpus * settings.cpu_percent) / 100,
    memory_bytes: Math.floor((total.memory_bytes * settings.memory_percent) / 100),
    disk_bytes: Math.floor((total.disk_bytes * settings.disk_percent) / 100),
  };
}

export function add(a: Resources, b: Resources): Resources {
  return {
    cpus: a.cpus + b.cpus,
    memory_bytes: a.memory_bytes + b.memory_bytes,
    disk_bytes: a.disk_bytes + b.disk_bytes,
  };
}

export interface Question {
  total: Resources;
  settings: EffectiveSettings;
  /** What is pledged without the new session. */
  pledged: Resources;
  /** How many sessions pledge that: processors and memory are the running ones', disk is everybody's. */
  sessions: { running: number; all: number };
  /** The new session's. */
  wanted: Resources;
}

/** Why a session may not start, in SPEC 7's words; null when it may. Its figures add up. Pure. */
export function denial({ total, settings, pledged, sessions, wanted }: Question): string | null {
  const allowed = allowedOf(total, settings);
  const sum = add(pledged, wanted);
  // Cores are sums of decimal fractions, which binary ones meet to the fifteenth digit only.
  if (sum.cpus > allowed.cpus + 1e-6)
    return words("CPU", "cores", sum.cpus, allowed.cpus, total.cpus, pledged.cpus, sessions.running);
  for (const [what, key, count] of [
    ["memory", "memory_bytes", sessions.running],
    ["disk", "disk_bytes", sessions.all],
  ] as const) {
    if (sum[key] > allowed[key])
      return words(what, "GiB", sum[key] / GIB, allowed[key] / GIB, total[key] / GIB, pledged[key] / GIB, count);
  }
  return null;
}

function words(
  what: string,
  unit: string,
  would: number,
  allowed: number,
  total: number,
  current: number,
  sessions: number,
): string {
  const figure = (value: number): string => value.toFixed(decimals(would, allowed));
  return (
    `admission denied: would push ${SESSIONS_SLICE} to ${percent(would, allowed, total)}% of host ${what} ` +
    `(${figure(would)} of ${figure(allowed)} ${unit} allowed); ` +
    `current usage ${figure(current)} ${unit} across ${sessions} session${sessions === 1 ? "" : "s"}`
  );
}

/** As few decimals as tell the two apart: one, mostly. */
function decimals(would: number, allowed: number): number {
  for (let digits = 1; digits < 6; digits += 1) if (would.toFixed(digits) !== allowed.toFixed(digits)) return digits;
  return 6;
}

function percent(would: number, allowed: number, total: number): string {
  if (total === 0) return "100";
  const [a, b] = [(would / total) * 100, (allowed / total) * 100];
  for (let digits = 0; digits < 4; digits += 1) if (a.toFixed(digits) !== b.toFixed(digits)) return a.toFixed(digits);
  return a.toFixed(4);
}
