import { z } from "zod";
import { readFacts } from "../../host/facts.js";
import { installedPackages, installPackages, missing, PACKAGE_SPEC, satisfiedPackages } from "../../host/packages.js";
import type { Lifecycle } from "../lifecycle.js";
import { add, compare, HostName } from "../shared.js";

const Inputs = z.object({ host: HostName, packages: z.array(z.string().regex(PACKAGE_SPEC)) });
type Inputs = z.infer<typeof Inputs>;
interface State extends Inputs {
  os: string;
}

/** Packages that a host must have. They are the host's: what is there stays when convocate goes. */
export const packages: Lifecycle<Inputs, State> = {
  kind: "Packages",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => [
    ...compare<Pick<Inputs, "host">>(state, inputs, ["host"]),
    ...inputs.packages.filter((name) => !state.packages.includes(name)).map((name) => add(`packages["${name}"]`)),
  ],
  async create(inputs, { pool, signal, progress }) {
    const connection = await pool.connect(inputs.host, signal);
    const facts = await readFacts(connection, signal);
    if (facts.cgroup === "v1")
      progress(`warning: ${inputs.host} has cgroup v1; sessions work, and v2 tells more of their memory`);
    const absent = missing(inputs.packages, await installedPackages(connection, signal));
    await installPackages(connection, absent, { signal, progress });
    return { id: `${inputs.host}:packages`, state: { ...inputs, os: facts.os } };
  },
  async read(state, inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    return { ...state, host: inputs.host, packages: await satisfiedPackages(connection, inputs.packages, signal) };
  },
  async update(_state, inputs, context) {
    return (await packages.create(inputs, context)).state;
  },
  async delete() {
    // Somebody else may need them by now.
  },
};
