import { z } from "zod";
import { agentPaths, ConvocateError } from "../../../runtime/domain/index.js";
import type { Connection } from "../../connection/types.js";
import { removeEntries, writeEntries } from "../../host/files.js";
import { exportImage } from "../../host/image-export.js";
import { findImage, layersThere, type ImageFound } from "../../host/image.js";
import { runScript } from "../../host/script.js";
import { upload } from "../../host/upload.js";
import { THIS_MACHINE, type Lifecycle, type LifecycleContext } from "../lifecycle.js";
import { change, compare, HostName, same } from "../shared.js";

const Inputs = z.object({
  host: HostName,
  tag: z.string().regex(/^convocate:[A-Za-z0-9_][A-Za-z0-9_.-]*$/, "must be convocate:<version>"),
  imageId: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  layers: z.array(z.string()),
});
type Inputs = z.infer<typeof Inputs>;

interface State extends Pick<Inputs, "host" | "tag"> {
  /** Of the image of that name on the agent; empty when it has none. */
  imageId: string;
  layers: string[];
  /** What current-image says; empty when it is missing. */
  currentImage: string;
}

/** Where an image lies between arriving and being loaded. */
const ARRIVED = "/var/lib/convocate-agent/incoming-image.tar.zst";

async function look(connection: Connection, tag: string, signal: AbortSignal): Promise<Omit<State, "host" | "tag">> {
  const [found, current] = await Promise.all([
    findImage(connection, tag, { root: true, signal }),
    connection.run(["cat", "--", agentPaths.currentImage], { allowFailure: true, signal }),
  ]);
  return { imageId: found?.imageId ?? "", layers: found?.layers ?? [], currentImage: current.stdout.trim() };
}

const isSame = (found: Pick<State, "imageId" | "layers">, inputs: Inputs): boolean =>
  found.imageId === inputs.imageId && same(found.layers, inputs.layers);

/** Prints the free bytes where Docker keeps its images, and the processor as Docker names it. */
const ROOM = `
root=$(docker info --format '{{.DockerRootDir}}')
df --output=avail -B1 -- "$root" | tail -n 1
docker version --format '{{.Server.Arch}}'`;

/** What Docker adds to the layers themselves. */
const ROOM_FACTOR = 1.1;
const mb = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;

async function checkArchitecture(
  connection: Connection,
  source: ImageFound,
  tag: string,
  signal: AbortSignal,
): Promise<number> {
  const { stdout } = await runScript(connection, ROOM, [], { signal });
  const [free = "0", arch = ""] = stdout
    .trim()
    .split("\n")
    .map((text) => text.trim());
  if (arch !== source.architecture)
    throw new ConvocateError(
      "UNSUPPORTED_HOST",
      `${connection.host.name}: ${tag} was built for ${source.architecture}, this host is ${arch}; provision it from a machine like it`,
    );
  return Number(free);
}

/** The archive goes away whether it could be loaded or not. */
const LOAD = `
set -o pipefail
trap 'rm -f -- "$1"' EXIT
zstd -q -dc -- "$1" | docker load -q`;

async function send(connection: Connection, inputs: Inputs, context: LifecycleContext): Promise<void> {
  const { pool, signal, progress } = context;
  const source = await findImage(await pool.connect(THIS_MACHINE, signal), inputs.tag, { root: false, signal });
  if (!source || !isSame(source, inputs))
    throw new ConvocateError(
      "IMAGE_MISSING",
      `${inputs.tag} on this machine is not the one that was built: run the same again`,
    );
  // A release that changed nothing in the image only gives it another name.
  const known = await findImage(connection, inputs.imageId, { root: true, signal });
  if (known && isSame(known, inputs)) {
    await connection.run(["docker", "tag", inputs.imageId, inputs.tag], { signal });
    return;
  }
  const freeBytes = await checkArchitecture(connection, source, inputs.tag, signal);
  const skip = await layersThere(connection, inputs.layers, signal);
  if (skip > 0) {
    try {
      await transfer(connection, inputs, skip, freeBytes, context);
      const loaded = await findImage(connection, inputs.tag, { root: true, signal });
      if (loaded && isSame(loaded, inputs)) return;
    } catch (thrown) {
      // Only what Docker there made of it is worth another try: it may have lost a layer that it had.
      if (!(thrown instanceof ConvocateError) || thrown.code !== "COMMAND_FAILED") throw thrown;
    }
    progress(`${inputs.tag} did not come together from what is there: sending all of it`);
  }
  await transfer(connection, inputs, 0, freeBytes, context);
}

/** Sends the image without its `skip` lowest layers, which the agent has, and loads it there. */
async function transfer(
  connection: Connection,
  inputs: Inputs,
  skip: number,
  freeBytes: number,
  { signal, progress }: LifecycleContext,
): Promise<void> {
  const { tag } = inputs;
  progress(`packing ${tag}`);
  const packed = await exportImage(tag, inputs.imageId, skip, signal);
  const needs = Math.ceil(packed.bytes + packed.rawBytes * ROOM_FACTOR);
  if (freeBytes < needs)
    throw new ConvocateError(
      "IO_ERROR",
      `${connection.host.name}: ${tag} needs ${mb(needs)} where Docker keeps images, ${mb(freeBytes)} are free; make room there`,
    );
  const what = skip > 0 ? `${inputs.layers.length - skip} of ${inputs.layers.length} layers of ${tag}` : tag;
  progress(`sending ${what}, ${mb(packed.bytes)}`);
  const file = { from: packed.path, packed: "plain", to: ARRIVED, mode: "0600", sha256: packed.sha256 } as const;
  const sent = (bytes: number): void => progress(`sending ${what}, ${mb(bytes)} of ${mb(packed.bytes)}`);
  await upload(connection, { ...file, timeoutMs: 3_600_000, sent }, signal);
  progress(`loading ${tag}`);
  await runScript(connection, LOAD, [ARRIVED], { shell: "bash", timeoutMs: 900_000, signal });
}

/** The session image on one agent, and the file that says so, which is written last (SPEC 8.3). */
export const imagePush: Lifecycle<Inputs, State> = {
  kind: "ImagePush",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => [
    ...compare<Pick<Inputs, "host" | "tag">>(state, inputs, ["host", "tag"]),
    ...(isSame(state, inputs) ? [] : [change(`image["${inputs.tag}"]`)]),
    ...(state.currentImage === inputs.tag ? [] : [change("currentImage")]),
  ],
  async create(inputs, context) {
    const { signal } = context;
    const connection = await context.pool.connect(inputs.host, signal);
    let have = await look(connection, inputs.tag, signal);
    if (!isSame(have, inputs)) {
      await send(connection, inputs, context);
      have = await look(connection, inputs.tag, signal);
      if (!isSame(have, inputs))
        throw new ConvocateError(
          "IMAGE_MISSING",
          `${inputs.host}: ${inputs.tag} was loaded as ${have.imageId || "nothing"}, not as ${inputs.imageId}; ` +
            `both machines' Docker must keep images the same way (docker info, Storage Driver)`,
        );
    }
    if (have.currentImage !== inputs.tag) {
      const content = `${inputs.tag}\n`;
      const entry = { type: "file", content, mode: "0644", owner: "root", group: "root" } as const;
      await writeEntries(connection, { [agentPaths.currentImage]: entry }, signal);
    }
    const { host, tag, imageId, layers } = inputs;
    return { id: `${host}:image`, state: { host, tag, imageId, layers, currentImage: tag } };
  },
  async read(state, inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    return { host: inputs.host, tag: state.tag, ...(await look(connection, inputs.tag, signal)) };
  },
  async update(_state, inputs, context) {
    return (await imagePush.create(inputs, context)).state;
  },
  async delete(state, { pool, signal }) {
    // The image itself stays (SPEC 8.1).
    await removeEntries(await pool.connect(state.host, signal), [agentPaths.currentImage], signal);
  },
};
