import { z } from "zod";
import type { Connection } from "../../connection/types.js";
import { readFacts } from "../../host/facts.js";
import { removeEntries } from "../../host/files.js";
import { runtimeBinary, runtimePath } from "../../host/runtime.js";
import { runScript, SHA256 } from "../../host/script.js";
import { upload } from "../../host/upload.js";
import type { Lifecycle } from "../lifecycle.js";
import { change, compare, Held, HostName, refuseHeld } from "../shared.js";

const Inputs = z.object({
  host: HostName,
  version: z.string().regex(/^\d+\.\d+\.\d+$/),
  held: Held.optional(),
});
type Inputs = z.infer<typeof Inputs>;

interface State extends Omit<Inputs, "held"> {
  path: string;
  /** Of what was sent. */
  sha256: string;
  /** Of what is there. */
  seen: string;
  mode: string;
  /** Inode, size, and times of change when `seen` was worked out: as long as they are the same, so is the content. */
  stamp: string;
}

/** Stands for the stamp of what was compared with its SHA-256 a moment ago, before it got its name. */
const VERIFIED = "verified";
/** 126 MB are not hashed again while inode, size, mtime and ctime stand still; ctime cannot be set back. */
const LOOK = `${SHA256}
stamp=$(stat -c '%i:%s:%y:%z' -- "$1" 2>/dev/null) || { echo missing; exit 0; }
echo "$stamp"
stat -c '%a %U %G' -- "$1"
if [ "$stamp" = "$2" ] || [ "$2" = ${VERIFIED} ]; then echo "$3"; else sha256 <"$1" | cut -d ' ' -f 1; fi`;

async function look(connection: Connection, state: State, signal: AbortSignal): Promise<State> {
  const { stdout } = await runScript(connection, LOOK, [state.path, state.stamp, state.seen], { signal });
  const [stamp = "missing", mode = "", seen = "missing"] = stdout.trim().split("\n");
  return { ...state, stamp, mode, seen };
}

const MODE = "755 root root";

/** Our own Node on the host (SPEC 2: hosts need none). */
export const runtime: Lifecycle<Inputs, State> = {
  kind: "Runtime",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => [
    ...compare<Omit<Inputs, "held">>(state, inputs, ["host", "version"]),
    ...(state.seen === state.sha256 ? [] : [change("binary.content")]),
    ...(state.seen === "missing" || state.mode === MODE ? [] : [change("binary.mode")]),
  ],
  async create(inputs, { pool, signal, progress }) {
    refuseHeld(inputs);
    const connection = await pool.connect(inputs.host, signal);
    const { arch } = await readFacts(connection, signal);
    const binary = await runtimeBinary(inputs.version, arch, signal);
    const path = runtimePath(inputs.version);
    const { host, version } = inputs;
    const wanted: State = { host, version, path, sha256: binary.sha256, seen: "", mode: "", stamp: "" };
    let state = await look(connection, wanted, signal);
    if (state.seen !== binary.sha256 || state.mode !== MODE) {
      const zstd = (await connection.run(["zstd", "--version"], { allowFailure: true, signal })).exitCode === 0;
      progress(`sending Node ${inputs.version} for ${arch}`);
      const from = zstd ? binary.packedPath : binary.path;
      const file = { from, packed: zstd ? "zstd" : "plain", to: path, mode: "0755", sha256: binary.sha256 } as const;
      await upload(connection, file, signal);
      state = await look(connection, { ...wanted, seen: binary.sha256, stamp: VERIFIED }, signal);
    }
    return { id: `${inputs.host}:node:${inputs.version}`, state };
  },
  async read(state, inputs, { pool, signal }) {
    return { ...(await look(await pool.connect(inputs.host, signal), state, signal)), host: inputs.host };
  },
  async update(_state, inputs, context) {
    // The older version stays for the programs that still run on it.
    return (await runtime.create(inputs, context)).state;
  },
  async delete(state, { pool, signal }) {
    const bin = state.path.replace(/\/[^/]+$/, "");
    const folders = [bin, bin.replace(/\/[^/]+$/, ""), "/usr/local/lib/convocate/node", "/usr/local/lib/convocate"];
    await removeEntries(await pool.connect(state.host, signal), [state.path, ...folders], signal);
  },
};
