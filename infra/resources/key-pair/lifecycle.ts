import { z } from "zod";
import type { Connection } from "../../connection/types.js";
import { removeEntries, type Found, type Ownership } from "../../host/files.js";
import { makeKeyPair, readKeyPair } from "../../host/keys.js";
import type { Lifecycle } from "../lifecycle.js";
import { AbsolutePath, Account, change, compare, HostName, Mode } from "../shared.js";

const Inputs = z.object({
  host: HostName,
  path: AbsolutePath,
  comment: z.string().regex(/^[A-Za-z0-9@._-]+$/, "must be one word"),
  mode: Mode.default("0600"),
  owner: Account.default("root"),
  group: Account.default("root"),
});
type Inputs = z.infer<typeof Inputs>;

interface State {
  host: Inputs["host"];
  path: string;
  /** `ssh-ed25519 AAAA…`, without a comment; worked out from the private key on the host. */
  publicKey: string;
  privateFile: Ownership | "missing";
  publicFile: Ownership | "missing";
  /** The `.pub` file has another key, or none. */
  publicDiffers: boolean;
}

async function look(connection: Connection, path: string, signal: AbortSignal): Promise<State | null> {
  const found = await readKeyPair(connection, path, signal);
  if (!found.publicKey) return null;
  return {
    host: connection.host.name,
    path,
    publicKey: found.publicKey,
    privateFile: ownershipOf(found.private),
    publicFile: ownershipOf(found.public),
    publicDiffers: found.publicFile !== found.publicKey,
  };
}

/** Not even a hash of a private key is remembered. */
function ownershipOf(found: Found): Ownership | "missing" {
  return found.type === "file" ? { mode: found.mode, owner: found.owner, group: found.group } : "missing";
}

function ownershipDifferences(name: string, found: Ownership | "missing", wanted: Ownership): string[] {
  if (found === "missing") return [`${name}.missing`];
  return (["mode", "owner", "group"] as const)
    .filter((property) => found[property] !== wanted[property])
    .map((property) => `${name}.${property}`);
}

/**
 * An ed25519 key pair that is made on its host and never leaves it; its public key is an output. A key that is there is
 * adopted; one that is gone is made anew, and then everything that knows the public key follows.
 */
export const keyPair: Lifecycle<Inputs, State> = {
  kind: "KeyPair",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => [
    ...compare<Pick<Inputs, "host">>(state, inputs, ["host"]),
    ...(state.path === inputs.path ? [] : [{ ...change("path"), replace: true }]),
    ...ownershipDifferences("privateKey", state.privateFile, inputs).map(change),
    ...ownershipDifferences("publicKey", state.publicFile, { ...inputs, mode: "0644" }).map(change),
    ...(state.publicDiffers ? [change("publicKey.content")] : []),
  ],
  async create(inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    await makeKeyPair(connection, inputs, signal);
    const state = await look(connection, inputs.path, signal);
    if (!state) throw new Error(`${inputs.host}: ${inputs.path} is gone again right after it was made`);
    return { id: `${inputs.host}:${inputs.path}`, state: { ...state, host: inputs.host } };
  },
  async read(_state, inputs, { pool, signal }) {
    const state = await look(await pool.connect(inputs.host, signal), inputs.path, signal);
    return state && { ...state, host: inputs.host };
  },
  async update(_state, inputs, context) {
    return (await keyPair.create(inputs, context)).state;
  },
  async delete(state, { pool, signal }) {
    await removeEntries(await pool.connect(state.host, signal), [state.path, `${state.path}.pub`], signal);
  },
};
