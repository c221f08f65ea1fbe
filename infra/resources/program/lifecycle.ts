import { z } from "zod";
import { lookAt, removeEntries, sha256, writeEntries, type Entry, type Found } from "../../host/files.js";
import { programFile, RELEASES, wrapper, wrapperPath } from "../../host/program.js";
import { runScript } from "../../host/script.js";
import type { Lifecycle } from "../lifecycle.js";
import { change, compare, Held, HostName, refuseHeld } from "../shared.js";

const Inputs = z.object({
  host: HostName,
  program: z.enum(["convocate", "convocate-agent"]),
  release: z.string().regex(/^[0-9A-Za-z][0-9A-Za-z.+-]*$/, "must be a release"),
  nodeVersion: z.string().regex(/^\d+\.\d+\.\d+$/),
  /** Name in dist/programs → SHA-256. */
  files: z.record(z.string().regex(/^([A-Za-z0-9_][A-Za-z0-9._-]*\/)*[A-Za-z0-9_][A-Za-z0-9._-]*$/), z.string()),
  held: Held.optional(),
});
type Inputs = z.infer<typeof Inputs>;

interface State extends Omit<Inputs, "nodeVersion" | "held"> {
  /** What was seen, by path. */
  seen: Record<string, Found>;
}

const folderOf = (inputs: Pick<Inputs, "release">): string => `${RELEASES}/${inputs.release}`;
const root = { owner: "root", group: "root" };

/** What must be on the host, as LOOK sees it. */
function wanted(inputs: Inputs): Record<string, Found> {
  const found: Record<string, Found> = {};
  for (const [name, hash] of Object.entries(inputs.files))
    found[`${folderOf(inputs)}/${name}`] = { type: "file", mode: "0644", ...root, sha256: hash };
  const text = wrapper(inputs.program, inputs.release, inputs.nodeVersion);
  found[wrapperPath(inputs.program)] = { type: "file", mode: "0755", ...root, sha256: sha256(text) };
  return found;
}

/** The three newest releases stay, and whatever a wrapper starts; so do the versions of Node that they name. */
const PRUNE = `
cd -- "$1"
used() { grep -qsF -- "$1" /usr/local/bin/convocate /usr/local/bin/convocate-agent; }
ls -1t | tail -n +4 | while read -r release; do used "/releases/$release/" || rm -rf -- "./$release"; done
cd ../node 2>/dev/null || exit 0
for version in *; do [ ! -d "$version" ] || used "/node/$version/" || rm -rf -- "./$version"; done`;

/** A program's files of one release, and the wrapper that starts it, which is written last. */
export const program: Lifecycle<Inputs, State> = {
  kind: "Program",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => {
    const want = wanted(inputs);
    return [
      ...compare<Pick<Inputs, "host" | "release">>(state, inputs, ["host", "release"]),
      ...compare<Pick<Inputs, "program">>(state, inputs, ["program"]).map((one) => ({ ...one, replace: true })),
      ...Object.keys(want).flatMap((path) => {
        const have = state.seen[path] ?? { type: "missing" };
        const expected = want[path];
        if (have.type !== "file" || expected?.type !== "file") return [change(`files["${path}"].missing`)];
        return (["sha256", "mode", "owner", "group"] as const)
          .filter((property) => have[property] !== expected[property])
          .map((property) => change(`files["${path}"].${property === "sha256" ? "content" : property}`));
      }),
    ];
  },
  async create(inputs, { pool, signal, progress }) {
    refuseHeld(inputs);
    const connection = await pool.connect(inputs.host, signal);
    const want = wanted(inputs);
    const have = await lookAt(connection, Object.keys(want), signal);
    const entries: Record<string, Entry> = {};
    for (const [name, hash] of Object.entries(inputs.files)) {
      const path = `${folderOf(inputs)}/${name}`;
      const found = have[path];
      if (found?.type === "file" && found.sha256 === hash && found.mode === "0644") continue;
      entries[path] = { type: "file", content: programFile(name, hash), mode: "0644", ...root };
    }
    if (Object.keys(entries).length > 0) progress(`sending ${inputs.program} ${inputs.release}`);
    await writeEntries(connection, entries, signal);
    const text = wrapper(inputs.program, inputs.release, inputs.nodeVersion);
    const start: Entry = { type: "file", content: text, mode: "0755", ...root };
    await writeEntries(connection, { [wrapperPath(inputs.program)]: start }, signal);
    await runScript(connection, PRUNE, [RELEASES], { signal });
    const { host, release, files } = inputs;
    const state = {
      host,
      program: inputs.program,
      release,
      files,
      seen: await lookAt(connection, Object.keys(want), signal),
    };
    const wrong = program.diff(state, inputs);
    if (wrong[0]) throw new Error(`${inputs.host}: ${wrong[0].path} is not what was sent: run the same again`);
    return { id: `${inputs.host}:${inputs.program}`, state };
  },
  async read(state, inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    const paths = [...new Set([...Object.keys(state.seen), ...Object.keys(wanted(inputs))])];
    return { ...state, host: inputs.host, seen: await lookAt(connection, paths, signal) };
  },
  async update(state, inputs, context) {
    const next = (await program.create(inputs, context)).state;
    // A build of the same release whose pieces have other names; of another release, pruning sees to all.
    const folder = `${folderOf(inputs)}/`;
    const gone = Object.keys(state.seen).filter((path) => path.startsWith(folder) && !(path in next.seen));
    await removeEntries(await context.pool.connect(inputs.host, context.signal), gone, context.signal);
    return next;
  },
  async delete(state, { pool, signal }) {
    const connection = await pool.connect(state.host, signal);
    const folders = Object.keys(state.seen).map((path) => path.replace(/\/[^/]+$/, ""));
    const ours = [...folders, folderOf(state), RELEASES].filter((path) => path.startsWith(RELEASES));
    await removeEntries(connection, [...Object.keys(state.seen), ...new Set(ours)], signal);
  },
};
