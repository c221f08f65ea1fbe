import { z } from "zod";
import { putDaemonFileBack, readDaemon, setUpDaemon } from "../../host/docker.js";
import type { Lifecycle } from "../lifecycle.js";
import { change, compare, HostName } from "../shared.js";

const Inputs = z.object({ host: HostName });
type Inputs = z.infer<typeof Inputs>;
interface State extends Inputs {
  systemdCgroups: boolean;
  liveRestore: boolean;
  running: boolean;
  enabled: boolean;
  /** daemon.json as it was found; a proxy's password may stand in it. Not in states of earlier releases. */
  before?: string;
}

/** A Docker daemon whose containers land in our slice and outlive its restarts. The daemon is the host's and stays. */
export const dockerDaemon: Lifecycle<Inputs, State> = {
  kind: "DockerDaemon",
  inputs: Inputs,
  secretOutputs: ["before"],
  diff: (state, inputs) => [
    ...compare<Inputs>(state, inputs, ["host"]),
    ...(["systemdCgroups", "liveRestore", "running", "enabled"] as const).filter((fact) => !state[fact]).map(change),
  ],
  async create(inputs, { pool, signal, progress }) {
    const { text } = await setUpDaemon(await pool.connect(inputs.host, signal), progress, signal);
    const state = { ...inputs, systemdCgroups: true, liveRestore: true, running: true, enabled: true, before: text };
    return { id: `${inputs.host}:docker`, state };
  },
  async read({ before }, inputs, { pool, signal }) {
    const found = await readDaemon(await pool.connect(inputs.host, signal), signal);
    const both = (fact: "systemdCgroups" | "liveRestore"): boolean =>
      found.file[fact] && (found.live?.[fact] ?? found.file[fact]);
    return {
      host: inputs.host,
      systemdCgroups: both("systemdCgroups"),
      liveRestore: both("liveRestore"),
      running: found.live !== null,
      enabled: found.enabled,
      ...(before !== undefined && { before }),
    };
  },
  async update({ before }, inputs, context) {
    const { before: _now, ...state } = (await dockerDaemon.create(inputs, context)).state;
    return { ...state, ...(before !== undefined && { before }) };
  },
  async delete(state, { pool, purge, signal }) {
    // Without a purge its settings stay: they do no harm.
    if (!purge || state.before === undefined) return;
    await putDaemonFileBack(await pool.connect(state.host, signal), state.before, signal);
  },
};
