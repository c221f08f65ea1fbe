import { z } from "zod";
import type { Connection } from "../../connection/types.js";
import { deleteArgv, disableArgv, openPorts, readFirewall, RULE } from "../../host/firewall.js";
import type { Lifecycle } from "../lifecycle.js";
import { add, change, compare, HostName } from "../shared.js";

const Inputs = z.object({ host: HostName, allow: z.array(z.string().regex(RULE)).min(1) });
type Inputs = z.infer<typeof Inputs>;
interface State extends Inputs {
  active: boolean;
  /** Whether it was up, and what was open, when it was found; not in states of earlier releases. */
  before?: { active: boolean; allowed: string[]; sshPorts: number[] };
}

/** The port by which we are in: never closed by us. */
const sshRule = ({ host }: Connection): string => `${host.via === "ssh" ? host.port : 22}/tcp`;

/**
 * What a rule may let us in by: the port that is dialled, 22, and what sshd listens on, which behind a forwarded port is
 * neither.
 */
const sshRules = (connection: Connection, sshPorts: readonly number[] = []): string[] => [
  sshRule(connection),
  "22/tcp",
  ...sshPorts.map((port) => `${port}/tcp`),
];

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
    const before = await openPorts(connection, [sshRule(connection), ...inputs.allow], signal);
    return { id: `${inputs.host}:firewall`, state: { ...inputs, active: true, before } };
  },
  async read(state, inputs, { pool, signal }) {
    const found = await readFirewall(await pool.connect(inputs.host, signal), "rules", signal);
    const ours = [...new Set([...state.allow, ...inputs.allow])];
    return {
      host: inputs.host,
      active: found.active,
      allow: ours.filter((rule) => found.allowed.includes(rule)),
      ...(state.before && { before: state.before }),
    };
  },
  async update({ allow, before }, inputs, context) {
    const connection = await context.pool.connect(inputs.host, context.signal);
    const found = await openPorts(connection, [sshRule(connection), ...inputs.allow], context.signal);
    const ssh = sshRules(connection, found.sshPorts);
    for (const rule of allow)
      if (!inputs.allow.includes(rule) && !ssh.includes(rule) && !before?.allowed.includes(rule))
        await connection.run(deleteArgv(rule), { allowFailure: true, signal: context.signal });
    return { ...inputs, active: true, ...(before && { before }) };
  },
  async delete({ host, allow, before }, { pool, purge, signal }) {
    const connection = await pool.connect(host, signal);
    const { sshPorts } = await readFirewall(connection, "sshd", signal);
    const ssh = sshRules(connection, [...sshPorts, ...(before?.sshPorts ?? [])]);
    // The firewall stays up with ssh open: taking either away is the operator's to decide, who says so with a purge. And
    // where it was up before, ssh's rule stays even then: whatever else let us in may be gone.
    const down = purge && before?.active === false;
    if (down) await connection.run(disableArgv(), { signal, timeoutMs: 300_000 });
    for (const rule of new Set(down ? [...ssh, ...allow] : allow))
      if ((down || !ssh.includes(rule)) && !before?.allowed.includes(rule))
        await connection.run(deleteArgv(rule), { allowFailure: true, signal });
  },
};
