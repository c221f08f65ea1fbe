import { z } from "zod";
import { AgentId, agentPaths, newAgentId } from "../../../runtime/domain/index.js";
import { removeEntries, writeEntries } from "../../host/files.js";
import { runScript } from "../../host/script.js";
import type { Lifecycle } from "../lifecycle.js";
import { change, compare, HostName } from "../shared.js";

const Inputs = z.object({ host: HostName });
type Inputs = z.infer<typeof Inputs>;

interface State extends Inputs {
  agentId: string;
  /** What the file says now: the id, or `missing`, or `other`. */
  file: string;
  /** `644 root root`. */
  ownership: string;
}

const PATH = agentPaths.agentId;
const OWNERSHIP = "644 root root";
const READ = `
stat -c '%a %U %G' -- "$1" 2>/dev/null || { echo missing; exit 0; }
head -c 64 -- "$1"`;

/** An agent's id: adopted where one is, made where none is, and the same for ever after (SPEC 4). */
export const agentId: Lifecycle<Inputs, State> = {
  kind: "AgentId",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => [
    ...compare<Inputs>(state, inputs, ["host"]),
    ...(state.file === state.agentId ? [] : [change("agentId")]),
    ...(state.ownership === OWNERSHIP ? [] : [change("ownership")]),
  ],
  async create(inputs, context) {
    const found = await agentId.read({ ...inputs, agentId: "", file: "", ownership: "" }, inputs, context);
    const known = AgentId.safeParse(found?.file);
    const id = known.success ? known.data : newAgentId();
    const state = { ...inputs, agentId: id, file: found?.file ?? "missing", ownership: found?.ownership ?? "" };
    return { id, state: await agentId.update(state, inputs, context) };
  },
  async read(state, inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    const { stdout } = await runScript(connection, READ, [PATH], { signal });
    const [ownership = "missing", text = ""] = stdout.split("\n");
    const parsed = AgentId.safeParse(text.trim());
    const file = ownership === "missing" ? "missing" : parsed.success ? parsed.data : "other";
    return { host: inputs.host, agentId: state.agentId, file, ownership };
  },
  async update(state, inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    const entry = { type: "file", content: `${state.agentId}\n`, mode: "0644", owner: "root", group: "root" } as const;
    if (state.file !== state.agentId || state.ownership !== OWNERSHIP)
      await writeEntries(connection, { [PATH]: entry }, signal);
    return { host: inputs.host, agentId: state.agentId, file: state.agentId, ownership: OWNERSHIP };
  },
  async delete(state, { pool, signal }) {
    await removeEntries(await pool.connect(state.host, signal), [PATH], signal);
  },
};
