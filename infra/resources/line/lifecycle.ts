import { z } from "zod";
import { runScript } from "../../host/script.js";
import type { Lifecycle } from "../lifecycle.js";
import { AbsolutePath, Account, change, compare, HostName, Mode } from "../shared.js";

const Inputs = z.object({
  host: HostName,
  path: AbsolutePath,
  key: z.string().regex(/^[A-Za-z0-9_-]+$/, "must be one word of letters, digits, _ and -"),
  line: z.string().regex(/^[^\n]+$/, "must be one line"),
  mode: Mode,
  owner: Account.default("root"),
  group: Account.default("root"),
});
type Inputs = z.infer<typeof Inputs>;
interface State extends Inputs {
  /** Mode, owner and group as seen, or `missing`. */
  ownership: string;
}

const ownership = (inputs: Inputs): string => `${inputs.mode.replace(/^0+/, "")} ${inputs.owner} ${inputs.group}`;

/**
 * Rewrites the file whole with the line of that key replaced by the one on standard input, or taken out when there is
 * none. The lock is the directory's, so that resources of several agents take turns.
 */
const WRITE = `
path=$1 key=$2 mode=$3 owner=$4 group=$5
folder=\${path%/*}
mkdir -p -- "$folder"
exec 9<"$folder"
flock -w 60 9
rm -f -- "$folder/.\${path##*/}".convocate-??????
tmp=$(mktemp -- "$folder/.\${path##*/}.convocate-XXXXXX")
trap 'rm -f -- "$tmp"' EXIT
if [ -f "$path" ]; then awk -v key="$key" '$NF != key' <"$path" >"$tmp"; fi
cat >>"$tmp"
chown -- "$owner:$group" "$tmp"
chmod -- "$mode" "$tmp"
sync -- "$tmp"
mv -fT -- "$tmp" "$path"
sync -- "$folder"`;

const READ = `
stat -c '%a %U %G' -- "$1" 2>/dev/null || { echo missing; exit 0; }
awk -v key="$2" '$NF == key' <"$1"`;

/** One line of a file that many resources share, known by its last word. */
export const line: Lifecycle<Inputs, State> = {
  kind: "Line",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => [
    ...compare<Inputs>(state, inputs, ["host", "line"]),
    ...compare<Inputs>(state, inputs, ["path", "key"]).map((difference) => ({ ...difference, replace: true })),
    ...(state.ownership === ownership(inputs) ? [] : [change("ownership")]),
  ],
  async create(inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    const { path, key, mode, owner, group } = inputs;
    await runScript(connection, WRITE, [path, key, mode, owner, group], { input: `${inputs.line}\n`, signal });
    return { id: `${inputs.host}:${path}#${key}`, state: { ...inputs, ownership: ownership(inputs) } };
  },
  async read(state, inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    const { stdout } = await runScript(connection, READ, [inputs.path, inputs.key], { signal });
    const [seen = "missing", ...lines] = stdout.trimEnd().split("\n");
    return { ...state, host: inputs.host, line: lines.join("\n"), ownership: seen };
  },
  async update(_state, inputs, context) {
    return (await line.create(inputs, context)).state;
  },
  async delete(state, { pool, signal }) {
    const connection = await pool.connect(state.host, signal);
    const { path, key, mode, owner, group } = state;
    await runScript(connection, WRITE, [path, key, mode, owner, group], { input: "", signal });
  },
};
