import { z } from "zod";
import { makeAccount, readAccount, usermodArgv } from "../../host/users.js";
import type { Lifecycle } from "../lifecycle.js";
import { AbsolutePath, Account, change, compare, HostName } from "../shared.js";

const USUAL_SHELL = "/bin/bash";
const Inputs = z.object({
  host: HostName,
  user: Account,
  uid: z.int(),
  gid: z.int(),
  home: AbsolutePath,
  shell: AbsolutePath.default(USUAL_SHELL),
});
type Inputs = z.infer<typeof Inputs>;
interface State extends Inputs {
  homeOwnership: string;
  skelOwnership: string;
}

const ownership = (inputs: Inputs): string => `750 ${inputs.user} ${inputs.user}`;

/** The service user (SPEC 2), its home and the skeleton of sessions' homes. It stays when convocate goes. */
export const serviceUser: Lifecycle<Inputs, State> = {
  kind: "ServiceUser",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => [
    ...compare<Inputs>(state, inputs, ["host", "user", "uid", "gid", "home", "shell"]),
    ...(["homeOwnership", "skelOwnership"] as const).filter((fact) => state[fact] !== ownership(inputs)).map(change),
  ],
  async create(inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    await makeAccount(connection, inputs, signal);
    const state = { ...inputs, homeOwnership: ownership(inputs), skelOwnership: ownership(inputs) };
    return { id: `${inputs.host}:user:${inputs.user}`, state };
  },
  async read(_state, inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    const found = await readAccount(connection, inputs, signal);
    return found && { ...found, host: inputs.host };
  },
  async update(_state, inputs, context) {
    return (await serviceUser.create(inputs, context)).state;
  },
  async delete(state, { pool, signal }) {
    // It owns the sessions' homes, and stays with them; a login shell of ours goes.
    if (!state.shell || state.shell === USUAL_SHELL) return;
    const connection = await pool.connect(state.host, signal);
    if (await readAccount(connection, state, signal))
      await connection.run(usermodArgv({ user: state.user, shell: USUAL_SHELL }), { signal });
  },
};
