import { z } from "zod";
import type { Connection } from "../../connection/types.js";
import { deleteArgv, openPorts, readFirewall, RULE } from "../../host/firewall.js";
import type { Lifecycle } from "../lifecycle.js";
import { add, change, compare, HostName } from "../shared.js";

const Inputs = z.object({ host: HostName, allow: z.array(z.string().regex(RULE)).min(1) });
type Inputs = z.infer<typeof Inputs>;
interface State extends Inputs {
  active: boolean;
}

/** The port by which we are in: never closed by us. */
const sshRule = ({ host }: Connection): string => `${host.via === "ssh" ? host.port : 22}/tcp`;

/** Open ports and an active ufw. Rules that are not declared here are somebody else's and stay. */
export const firewall: Lifecycle<Inputs, State> = {
  kind: "Firewall",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => [
    ...compare<Pick<Inputs, "host">>(state, inputs, ["host"]),
    ...(state.active ? [] : [change("active")]),
    ...inputs.allow.filter((rule) => !state.allow.includes(rule)).map((rule) => add(`allow["${rule}"]`)),
    ...state.allow.filter((rule) => !inputs.allow.includes(rule)).map((rule) => change(`allow["${rule}"]`)),
  ],
  async create(inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    await openPorts(connection, [sshRule(connection), ...inputs.allow], signal);
    return { id: `${inputs.host}:firewall`, state: { ...inputs, active: true } };
  },
  async read(state, inputs, { pool, signal }) {
    const found = await readFirewall(await pool.connect(inputs.host, signal), "rules", signal);
    const ours = [...new Set([...state.allow, ...inputs.allow])];
    return { host: inputs.host, active: found.active, allow: ours.filter((rule) => found.allowed.includes(rule)) };
  },
  async update(state, inputs, context) {
    const { state: next } = await firewall.create(inputs, context);
    const connection = await context.pool.connect(inputs.host, context.signal);
    for (const rule of state.allow)
      if (!inputs.allow.includes(rule) && rule !== sshRule(connection))
        await connection.run(deleteArgv(rule), { allowFailure: true, signal: context.signal });
    return next;
  },
  async delete(state, { pool, signal }) {
    // The firewall stays up, and ssh stays open: taking either away is the operator's to decide.
    const connection = await pool.connect(state.host, signal);
    for (const rule of state.allow)
      if (rule !== sshRule(connection) && rule !== "22/tcp")
        await connection.run(deleteArgv(rule), { allowFailure: true, signal });
  },
};
