import { z } from "zod";
import { readDaemon, setUpDaemon } from "../../host/docker.js";
import type { Lifecycle } from "../lifecycle.js";
import { change, compare, HostName } from "../shared.js";

const Inputs = z.object({ host: HostName });
type Inputs = z.infer<typeof Inputs>;
interface State extends Inputs {
  systemdCgroups: boolean;
  liveRestore: boolean;
  running: boolean;
  enabled: boolean;
}

/** A Docker daemon whose containers land in our slice and outlive its restarts. The daemon is the host's and stays. */
export const dockerDaemon: Lifecycle<Inputs, State> = {
  kind: "DockerDaemon",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => [
    ...compare<Inputs>(state, inputs, ["host"]),
    ...(["systemdCgroups", "liveRestore", "running", "enabled"] as const).filter((fact) => !state[fact]).map(change),
  ],
  async create(inputs, { pool, signal, progress }) {
    await setUpDaemon(await pool.connect(inputs.host, signal), progress, signal);
    const state = { ...inputs, systemdCgroups: true, liveRestore: true, running: true, enabled: true };
    return { id: `${inputs.host}:docker`, state };
  },
  async read(_state, inputs, { pool, signal }) {
    const found = await readDaemon(await pool.connect(inputs.host, signal), signal);
    const both = (fact: "systemdCgroups" | "liveRestore"): boolean =>
      found.file[fact] && (found.live?.[fact] ?? found.file[fact]);
    return {
      host: inputs.host,
      systemdCgroups: both("systemdCgroups"),
      liveRestore: both("liveRestore"),
      running: found.live !== null,
      enabled: found.enabled,
    };
  },
  async update(_state, inputs, context) {
    return (await dockerDaemon.create(inputs, context)).state;
  },
  async delete() {
    // Its settings do no harm, and taking them back would restart it under whatever runs there.
  },
};
