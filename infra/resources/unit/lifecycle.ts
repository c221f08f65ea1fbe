import { z } from "zod";
import type { Connection } from "../../connection/types.js";
import { removeEntries, sha256, writeEntries } from "../../host/files.js";
import { withSignal } from "../../host/script.js";
import { bringUp, daemonReloadArgv, readUnit, systemctlArgv, unitPath } from "../../host/systemd.js";
import type { Difference, Lifecycle } from "../lifecycle.js";
import { change, compare, compareRecords, HostName } from "../shared.js";

const Inputs = z.object({
  host: HostName,
  unit: z.string().regex(/^[a-z0-9-]+\.service$/, "must be the name of a service unit"),
  content: z.string(),
  triggers: z.record(z.string(), z.string()).default({}),
});
type Inputs = z.infer<typeof Inputs>;

interface State {
  host: Inputs["host"];
  unit: string;
  /** SHA-256 of the unit file, or what is there instead. */
  content: string;
  enabled: boolean;
  running: boolean;
  /** systemd has not read the file that lies there. */
  needsReload: boolean;
  /** What the service was last restarted with. */
  triggers: Record<string, string>;
}

function differences(state: State, inputs: Inputs): Difference[] {
  return [
    ...compare<Pick<Inputs, "host">>(state, inputs, ["host"]),
    ...(state.content === sha256(inputs.content) ? [] : [change("content")]),
    ...(state.enabled ? [] : [change("enabled")]),
    ...(state.running ? [] : [change("running")]),
    ...(state.needsReload ? [change("needsReload")] : []),
    ...compareRecords("triggers", state.triggers, inputs.triggers),
  ];
}

async function look(
  connection: Connection,
  unit: string,
  triggers: State["triggers"],
  signal: AbortSignal,
): Promise<State> {
  const found = await readUnit(connection, unit, [], signal);
  return {
    host: connection.host.name,
    unit,
    content: found.file.type === "file" ? found.file.sha256 : found.file.type,
    enabled: found.enabled,
    running: found.active,
    needsReload: found.needsReload,
    triggers,
  };
}

/** Makes the unit so; at most one restart, and none when only `running` was wrong. */
async function apply(connection: Connection, state: State, inputs: Inputs, signal: AbortSignal): Promise<State> {
  const wrong = differences(state, inputs).map(({ path }) => path);
  const options = { timeoutMs: 60_000, ...withSignal(signal) };
  if (wrong.includes("content")) {
    const entry = { type: "file", content: inputs.content, mode: "0644", owner: "root", group: "root" } as const;
    await writeEntries(connection, { [unitPath(inputs.unit)]: entry }, signal);
  }
  if (wrong.includes("content") || wrong.includes("needsReload")) await connection.run(daemonReloadArgv(), options);
  if (wrong.includes("enabled") || wrong.includes("content"))
    await connection.run(systemctlArgv("enable", inputs.unit), options);
  const restart = wrong.some((path) => path === "content" || path === "needsReload" || path.startsWith("triggers"));
  if (restart || wrong.includes("running"))
    await bringUp(connection, restart ? "restart" : "start", inputs.unit, signal);
  return { ...(await look(connection, inputs.unit, inputs.triggers, signal)), host: inputs.host };
}

/** A service of systemd: its file, enabled, running, and restarted once when what it was started with has changed. */
export const unit: Lifecycle<Inputs, State> = {
  kind: "Unit",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => [
    ...differences(state, inputs),
    ...(state.unit === inputs.unit ? [] : [{ ...change("unit"), replace: true }]),
  ],
  async create(inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    // Nobody knows what a service that is there already was started with, so it is restarted.
    const state = await apply(connection, await look(connection, inputs.unit, { unknown: "" }, signal), inputs, signal);
    return { id: `${inputs.host}:${inputs.unit}`, state };
  },
  async read(state, inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    return { ...(await look(connection, inputs.unit, state.triggers, signal)), host: inputs.host };
  },
  async update(state, inputs, { pool, signal }) {
    return apply(await pool.connect(inputs.host, signal), state, inputs, signal);
  },
  async delete(state, { pool, signal }) {
    const connection = await pool.connect(state.host, signal);
    const options = { timeoutMs: 120_000, allowFailure: true, signal };
    await connection.run(systemctlArgv("stop", state.unit), options);
    await connection.run(systemctlArgv("disable", state.unit), options);
    await removeEntries(connection, [unitPath(state.unit)], signal);
    await connection.run(daemonReloadArgv(), { signal });
  },
};
