import { z } from "zod";
import { agentPaths, ConvocateError } from "../../../runtime/domain/index.js";
import type { Connection } from "../../connection/types.js";
import { removeEntries } from "../../host/files.js";
import { exportImage } from "../../host/image-export.js";
import { checkRoom, loadImage, nameImage, NotLoaded } from "../../host/image-load.js";
import { commonLayers, findImage, roomForImage, type ImageFound, type ImageRoom } from "../../host/image.js";
import { THIS_MACHINE, type Lifecycle, type LifecycleContext } from "../lifecycle.js";
import { change, compare, Held, HostName, refuseHeld, same } from "../shared.js";

const Inputs = z.object({
  host: HostName,
  tag: z.string().regex(/^convocate:[A-Za-z0-9_][A-Za-z0-9_.-]*$/, "must be convocate:<version>"),
  imageId: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  layers: z.array(z.string()),
  held: Held.optional(),
});
type Inputs = z.infer<typeof Inputs>;

interface State extends Pick<Inputs, "host" | "tag"> {
  /** Of the image of that name on the agent; empty when it has none. */
  imageId: string;
  layers: string[];
  /** What current-image says; empty when it is missing. */
  currentImage: string;
}

async function look(connection: Connection, tag: string, signal: AbortSignal): Promise<Omit<State, "host" | "tag">> {
  const [found, current] = await Promise.all([
    findImage(connection, tag, { root: true, signal }),
    connection.run(["cat", "--", agentPaths.currentImage], { allowFailure: true, signal }),
  ]);
  return { imageId: found?.imageId ?? "", layers: found?.layers ?? [], currentImage: current.stdout.trim() };
}

const isSame = (found: Pick<State, "imageId" | "layers">, inputs: Inputs): boolean =>
  found.imageId === inputs.imageId && same(found.layers, inputs.layers);

/** Brings the image, by what is there of it already, and names it in current-image at the end. */
async function bring(connection: Connection, inputs: Inputs, context: LifecycleContext): Promise<void> {
  const { pool, signal, progress } = context;
  const here = await pool.connect(THIS_MACHINE, signal);
  const [source, known, room] = await Promise.all([
    findImage(here, inputs.tag, { root: false, signal }),
    findImage(connection, inputs.imageId, { root: true, signal }),
    roomForImage(connection, agentPaths.arrivals, signal),
  ]);
  if (!source || !isSame(source, inputs))
    throw new ConvocateError(
      "IMAGE_MISSING",
      `${inputs.tag} on this machine is not the one that was built: run the same again`,
    );
  // A release that changed nothing in the image only gives it another name.
  if (known && isSame(known, inputs)) {
    await connection.run(["docker", "tag", inputs.imageId, inputs.tag], { signal });
    return name(connection, inputs, signal);
  }
  if (room.architecture !== source.architecture)
    throw new ConvocateError(
      "UNSUPPORTED_HOST",
      `${inputs.host}: ${inputs.tag} was built for ${source.architecture}, this host is ${room.architecture}; provision it from a machine like it`,
    );
  const skip = commonLayers(inputs.layers, room.layers);
  const transfer = (without: number): Promise<void> => sendWithout(without, connection, inputs, source, room, context);
  if (skip > 0) {
    try {
      await transfer(skip);
      if (await nameImage(connection, agentPaths.currentImage, inputs.tag, inputs, signal)) return;
    } catch (thrown) {
      // Docker there may have lost a layer that it had; nothing else is worth another try.
      if (!(thrown instanceof NotLoaded)) throw thrown;
    }
    progress(`${inputs.tag} did not come together from what is there: sending all of it`);
  }
  await transfer(0);
  await name(connection, inputs, signal);
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 10e6 ? 1 : 0);

/** Sends the image without its `skip` lowest layers, which the agent has, and loads it there. */
async function sendWithout(
  skip: number,
  connection: Connection,
  { host, tag, layers }: Inputs,
  source: ImageFound,
  room: ImageRoom,
  { signal, progress }: LifecycleContext,
): Promise<void> {
  progress(`packing ${tag}`);
  const packed = await exportImage(tag, source, skip, signal);
  checkRoom(host, tag, packed, room);
  const what = skip > 0 ? `${layers.length - skip} of ${layers.length} layers of ${tag}` : tag;
  const all = megabytes(packed.bytes);
  // The figures first: a narrow terminal cuts the rest.
  const sent = (bytes: number): void => {
    if (bytes < packed.bytes) progress(`sending ${megabytes(bytes)} of ${all} MB: ${what}`);
    else progress(`loading ${tag}`);
  };
  sent(0);
  await loadImage(connection, packed, { sent, signal });
}

/** Writes current-image, unless what is there by that name is not what was built. */
async function name(connection: Connection, inputs: Inputs, signal: AbortSignal): Promise<void> {
  const { host, tag, imageId } = inputs;
  if (await nameImage(connection, agentPaths.currentImage, tag, inputs, signal)) return;
  const found = await findImage(connection, tag, { root: true, signal });
  const why = found
    ? `is ${found.imageId} there, not ${imageId}; both machines' Docker must keep images the same way (docker info, Storage Driver)`
    : "went away after it was loaded; run the same again";
  throw new ConvocateError("IMAGE_MISSING", `${host}: ${tag} ${why}`);
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
    refuseHeld(inputs);
    const { signal } = context;
    const connection = await context.pool.connect(inputs.host, signal);
    const have = await look(connection, inputs.tag, signal);
    if (!isSame(have, inputs)) await bring(connection, inputs, context);
    else if (have.currentImage !== inputs.tag) await name(connection, inputs, signal);
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
    const { currentImage, arrivals, imageLock } = agentPaths;
    await removeEntries(await pool.connect(state.host, signal), [currentImage, arrivals, imageLock], signal);
  },
};
