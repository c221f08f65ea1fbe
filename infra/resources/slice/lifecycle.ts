import { z } from "zod";
import type { Connection } from "../../connection/types.js";
import { readFacts } from "../../host/facts.js";
import { removeEntries, sha256, writeEntries } from "../../host/files.js";
import { bringUp, daemonReloadArgv, readUnit, unitPath } from "../../host/systemd.js";
import type { Lifecycle } from "../lifecycle.js";
import { change, compare, HostName } from "../shared.js";

const Percent = z.int().min(1).max(100);
const Inputs = z.object({
  host: HostName,
  slice: z.string().regex(/^[a-z0-9-]+\.slice$/, "must be the name of a slice"),
  cpuPercent: Percent,
  memoryPercent: Percent,
});
type Inputs = z.infer<typeof Inputs>;

interface Totals {
  cpus: number;
  memoryBytes: number;
}

interface State extends Inputs, Totals {
  /** SHA-256 of the slice's file, or what is there instead. */
  content: string;
  /** What the kernel was told: CPU seconds per second in percent, and bytes. */
  cpuQuota: string;
  memoryMax: string;
  running: boolean;
}

/** The slice's limits, from the host's own totals (SPEC 7, layer 2). */
export function sliceLimits(
  totals: Totals,
  share: Pick<Inputs, "cpuPercent" | "memoryPercent">,
): { cpuQuota: string; memoryMax: string } {
  return {
    cpuQuota: `${totals.cpus * share.cpuPercent}%`,
    memoryMax: String(Math.floor((totals.memoryBytes * share.memoryPercent) / 100)),
  };
}

/** The slice's file. Pure. */
export function sliceFile(limits: { cpuQuota: string; memoryMax: string }): string {
  return `# Written by convocate; what all sessions of this host may use together.
[Unit]
Description=Sessions of convocate

[Slice]
CPUAccounting=yes
MemoryAccounting=yes
TasksAccounting=yes
CPUQuota=${limits.cpuQuota}
MemoryMax=${limits.memoryMax}
`;
}

/** CPUQuotaPerSecUSec as systemd prints it (`1.800000s`, `900ms`, `1min 30s`) in percent; as it is when it is none of these. */
export function quotaPercent(printed: string): string {
  const unitsMs: Record<string, number> = { us: 0.001, ms: 1, s: 1000, min: 60_000, h: 3_600_000 };
  let ms = 0;
  for (const part of printed.split(" ")) {
    const [, number, name] = /^([\d.]+)(us|ms|s|min|h)$/.exec(part) ?? [];
    const factor = unitsMs[name ?? ""];
    if (!number || !factor) return printed;
    ms += Number(number) * factor;
  }
  return `${Math.round(ms / 10)}%`;
}

async function look(connection: Connection, inputs: Inputs, signal: AbortSignal): Promise<State> {
  const [facts, found] = await Promise.all([
    readFacts(connection, signal),
    readUnit(connection, inputs.slice, ["CPUQuotaPerSecUSec", "MemoryMax"], signal),
  ]);
  return {
    ...inputs,
    cpus: facts.cpus,
    memoryBytes: facts.memoryBytes,
    content: found.file.type === "file" ? found.file.sha256 : found.file.type,
    cpuQuota: quotaPercent(found.properties.CPUQuotaPerSecUSec ?? ""),
    memoryMax: found.properties.MemoryMax ?? "",
    running: found.active,
  };
}

/** MemoryMax is rounded down to pages by the kernel's own words, not by systemd's; a page of slack costs nothing. */
const samePages = (a: string, b: string): boolean => Math.abs(Number(a) - Number(b)) < 65_536;

/** The slice that every session's container lands in. */
export const slice: Lifecycle<Inputs, State> = {
  kind: "Slice",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => {
    const limits = sliceLimits(state, inputs);
    return [
      ...compare<Inputs>(state, inputs, ["host", "cpuPercent", "memoryPercent"]),
      ...(state.slice === inputs.slice ? [] : [{ ...change("slice"), replace: true }]),
      ...(state.content === sha256(sliceFile(limits)) ? [] : [change("content")]),
      ...(state.cpuQuota === limits.cpuQuota ? [] : [change("cpuQuota")]),
      ...(samePages(state.memoryMax, limits.memoryMax) ? [] : [change("memoryMax")]),
      ...(state.running ? [] : [change("running")]),
    ];
  },
  async create(inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    const content = sliceFile(sliceLimits(await readFacts(connection, signal), inputs));
    const entry = { type: "file", content, mode: "0644", owner: "root", group: "root" } as const;
    await writeEntries(connection, { [unitPath(inputs.slice)]: entry }, signal);
    // What `systemctl set-property` wrote by hand would win over the file.
    await connection.run(["systemctl", "revert", "--", inputs.slice], { allowFailure: true, signal });
    await writeEntries(connection, { [unitPath(inputs.slice)]: entry }, signal);
    await connection.run(daemonReloadArgv(), { signal });
    await bringUp(connection, "start", inputs.slice, signal);
    return { id: `${inputs.host}:${inputs.slice}`, state: await look(connection, inputs, signal) };
  },
  async read(state, inputs, { pool, signal }) {
    const seen = await look(await pool.connect(inputs.host, signal), inputs, signal);
    return { ...seen, cpuPercent: state.cpuPercent, memoryPercent: state.memoryPercent };
  },
  async update(_state, inputs, context) {
    return (await slice.create(inputs, context)).state;
  },
  async delete(state, { pool, signal }) {
    // Sessions that still run keep their group; systemd drops the slice with the last of them.
    const connection = await pool.connect(state.host, signal);
    await removeEntries(connection, [unitPath(state.slice)], signal);
    await connection.run(daemonReloadArgv(), { signal });
  },
};
