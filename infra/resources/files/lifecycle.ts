import { z } from "zod";
import type { Connection } from "../../connection/types.js";
import { lookAt, removeEntries, sha256, writeEntries, type Entry, type Found } from "../../host/files.js";
import { runScript } from "../../host/script.js";
import type { Difference, Lifecycle, LifecycleContext } from "../lifecycle.js";
import { AbsolutePath, Account, Argv, change, compare, HostName, Mode, remove, same } from "../shared.js";

const ownership = { mode: Mode, owner: Account.default("root"), group: Account.default("root") };
const EntryInput = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("file"), content: z.string(), ...ownership }),
  z.strictObject({ type: z.literal("seed"), content: z.string(), ...ownership }),
  z.strictObject({ type: z.literal("directory"), ...ownership }),
]);

const Inputs = z.object({
  host: HostName,
  files: z.record(AbsolutePath, EntryInput),
  reload: z.array(Argv).default([]),
  afterRepair: z.array(Argv).default([]),
});
type Inputs = z.infer<typeof Inputs>;

interface State {
  host: Inputs["host"];
  /** What was seen of the declared paths; content as SHA-256 only. */
  files: Record<string, Found>;
  /** Hash of what was declared when it was last written: tells a repair from a change. */
  declared: string;
  /** Written, but one of the commands after it has not run to its end. */
  pending: boolean;
  /** Run once more when the files are gone. */
  reload: string[][];
}

const declaredHash = (inputs: Inputs): string => {
  const paths = Object.keys(inputs.files).sort();
  return sha256(JSON.stringify(paths.map((path) => [path, wanted(inputs.files[path] as Entry)])));
};

/** What LOOK should see of an entry. */
function wanted(entry: Entry): Record<string, string> {
  const { mode, owner, group } = entry;
  return entry.type === "file"
    ? { type: "file", mode, owner, group, sha256: sha256(entry.content) }
    : { type: entry.type === "seed" ? "file" : "directory", mode, owner, group };
}

/** Differences of one path, named as `files["/etc/x"].mode`. */
function differences(path: string, found: Found | undefined, entry: Entry): Difference[] {
  const name = `files["${path}"]`;
  const want = wanted(entry);
  if (!found || found.type === "missing") return [{ path: `${name}.missing`, kind: "add" }];
  if (found.type === "other" || found.type !== want.type) return [change(`${name}.type`)];
  const have: Record<string, string> = { ...found };
  return Object.keys(want)
    .filter((property) => want[property] !== have[property])
    .map((property) => change(`${name}.${property === "sha256" ? "content" : property}`));
}

function fileDifferences(state: State, inputs: Inputs): Difference[] {
  const gone = Object.keys(state.files).filter((path) => !(path in inputs.files));
  return [
    ...Object.keys(inputs.files)
      .sort()
      .flatMap((path) => differences(path, state.files[path], inputs.files[path] as Entry)),
    ...gone.map((path) => remove(`files["${path}"]`)),
  ];
}

/** In memory of the host: a boot, which starts every service anew, settles what was pending. */
const MARKERS = "/run/convocate-pending";
const marker = ({ files }: { files: Readonly<Record<string, unknown>> }): string =>
  `${MARKERS}/${sha256(Object.keys(files).sort().join("\n")).slice(0, 24)}`;
const MARK = `mkdir -p -- "\${1%/*}"; : >"$1"`;

/** Writes, then runs the commands; the marker says on the host that they are still due. */
async function write(
  connection: Connection,
  inputs: Inputs,
  entries: Record<string, Entry>,
  commands: readonly string[][],
  { signal, progress }: LifecycleContext,
): Promise<void> {
  const due = commands.length > 0;
  if (due) await runScript(connection, MARK, [marker(inputs)], { signal });
  await writeEntries(connection, entries, signal);
  for (const argv of commands) {
    progress(argv.join(" "));
    await connection.run(argv, { timeoutMs: 120_000, signal });
  }
  if (due) await connection.run(["rm", "-f", "--", marker(inputs)], { signal });
}

function stateOf(inputs: Inputs): State {
  const files = Object.entries(inputs.files).map(([path, entry]) => [path, wanted(entry)]);
  return {
    host: inputs.host,
    files: Object.fromEntries(files) as State["files"],
    declared: declaredHash(inputs),
    pending: false,
    reload: inputs.reload,
  };
}

/** A named set of files and directories. Secrets may be content: the state keeps their hash. */
export const files: Lifecycle<Inputs, State> = {
  kind: "Files",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => [
    ...compare<Pick<Inputs, "host">>(state, inputs, ["host"]),
    ...fileDifferences(state, inputs),
    ...(state.pending ? [change("reload")] : []),
  ],
  async create(inputs, context) {
    const connection = await context.pool.connect(inputs.host, context.signal);
    await write(connection, inputs, inputs.files, inputs.reload, context);
    const first = Object.keys(inputs.files).sort()[0] ?? "";
    return { id: `${inputs.host}:${first}`, state: stateOf(inputs) };
  },
  async read(state, inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    const mark = marker(inputs);
    const paths = [...new Set([...Object.keys(inputs.files), ...Object.keys(state.files)])];
    const found = await lookAt(connection, [...paths, mark], signal);
    const pending = found[mark]?.type === "file";
    const seen = paths.map((path): [string, Found] => {
      const now = found[path] ?? { type: "missing" };
      // A seed's content is its writer's business.
      return [path, inputs.files[path]?.type === "seed" ? withoutHash(now) : now];
    });
    return {
      host: inputs.host,
      files: Object.fromEntries(seen),
      declared: state.declared,
      pending,
      reload: inputs.reload,
    };
  },
  async update(state, inputs, context) {
    const connection = await context.pool.connect(inputs.host, context.signal);
    const gone = Object.keys(state.files).filter((path) => !(path in inputs.files));
    const wrong = Object.entries(inputs.files).filter(
      ([path, entry]) => differences(path, state.files[path], entry).length > 0,
    );
    const different = wrong.length > 0 || gone.length > 0;
    const repair = same(state.declared, declaredHash(inputs));
    const commands = different || state.pending ? [...inputs.reload, ...(repair ? inputs.afterRepair : [])] : [];
    await removeEntries(connection, gone, context.signal);
    await write(connection, inputs, Object.fromEntries(wrong), commands, context);
    return stateOf(inputs);
  },
  async delete(state, { pool, signal }) {
    const connection = await pool.connect(state.host, signal);
    await removeEntries(connection, [...Object.keys(state.files), marker(state)], signal);
    // A service that does not come up without them is no reason to keep them.
    for (const argv of state.reload) await connection.run(argv, { timeoutMs: 120_000, allowFailure: true, signal });
  },
};

function withoutHash(found: Found): Found {
  if (found.type !== "file") return found;
  const { type, mode, owner, group } = found;
  return { type, mode, owner, group } as Found;
}
