import { z } from "zod";
import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { runScript, withSignal } from "./script.js";

export interface ImageFound {
  /** `sha256:…` */
  imageId: string;
  /** RootFS: digests of the unpacked layers. */
  layers: string[];
  sizeBytes: number;
  /** As Docker names it: `amd64`, `arm64`. */
  architecture: string;
}

const Inspected = z.array(
  z.object({
    Id: z.string(),
    RootFS: z.object({ Layers: z.array(z.string()) }),
    Size: z.number(),
    Architecture: z.string(),
  }),
);

/** Parses `docker image inspect`; null for an empty list. Pure. */
export function parseImage(stdout: string): ImageFound | null {
  if (stdout.trim() === "") return null;
  const [image] = Inspected.parse(JSON.parse(stdout));
  if (!image) return null;
  return {
    imageId: image.Id,
    layers: image.RootFS.Layers,
    sizeBytes: image.Size,
    architecture: image.Architecture,
  };
}

/** Exit 44: a daemon answers and has no such image. */
const FIND = `
docker image inspect -- "$1" 2>/dev/null && exit 0
docker version >/dev/null || exit 1
exit 44`;

/** The image of that name or id on a host, null when it is not there; DOCKER_ERROR when no daemon answers. */
export async function findImage(
  connection: Connection,
  reference: string,
  options: { root: boolean; signal?: AbortSignal },
): Promise<ImageFound | null> {
  const { stdout, stderr, exitCode } = await runScript(connection, FIND, [reference], {
    allowFailure: true,
    root: options.root,
    ...withSignal(options.signal),
  });
  if (exitCode === 0) return parseImage(stdout);
  if (exitCode === 44) return null;
  throw new ConvocateError(
    "DOCKER_ERROR",
    `${connection.host.name}: no Docker engine answers (${stderr.trim().split("\n").at(-1) ?? ""}); systemctl status docker says why`,
  );
}

/**
 * The free bytes and the file system of the folder that an image arrives in, and the same of Docker's own; the processor as
 * Docker names it; then the layers of every image, in their order, a JSON list a line.
 */
const ROOM = `
mkdir -p -m 0700 -- "$1"
for folder in "$1" "$(docker info --format '{{.DockerRootDir}}')"; do
  df --output=avail,target -B1 -- "$folder" | tail -n 1
done
docker version --format '{{.Server.Arch}}'
ids=$(docker image ls --all --quiet --no-trunc | sort -u)
[ -z "$ids" ] || docker image inspect --format '{{json .RootFS.Layers}}' -- $ids 2>/dev/null || :`;

/**
 * How many of an image's layers, from the bottom up, one of these images has too. Docker knows a layer by all that is below
 * it, so only a common beginning counts. Pure.
 */
export function commonLayers(wanted: readonly string[], images: readonly (readonly string[])[]): number {
  const common = (layers: readonly string[]): number => {
    const end = wanted.findIndex((layer, i) => layers[i] !== layer);
    return end < 0 ? wanted.length : end;
  };
  return Math.max(0, ...images.map(common));
}

export interface Disk {
  freeBytes: number;
  /** Where its file system is mounted. */
  mount: string;
}

/** What a host has for an image that is to come. */
export interface ImageRoom {
  /** Of the folder that it arrives in, and of Docker's. */
  arrival: Disk;
  docker: Disk;
  /** As Docker names it. */
  architecture: string;
  /** Of every image there. */
  layers: string[][];
}

/** Parses what ROOM prints. Pure. */
export function parseRoom(stdout: string): ImageRoom {
  const [arrival = "", docker = "", architecture = "", ...images] = stdout.trim().split("\n");
  const disk = (line: string): Disk => {
    const [, free = "0", mount = ""] = /^\s*(\d+)\s+(.*)$/.exec(line) ?? [];
    return { freeBytes: Number(free), mount };
  };
  const layers = images.map((line) => z.array(z.string()).parse(JSON.parse(line)));
  return { arrival: disk(arrival), docker: disk(docker), architecture: architecture.trim(), layers };
}

/** What a host has for an image that is to come; `folder` is where it arrives, made when it is not there. */
export async function roomForImage(connection: Connection, folder: string, signal?: AbortSignal): Promise<ImageRoom> {
  const { stdout } = await runScript(connection, ROOM, [folder], { timeoutMs: 120_000, ...withSignal(signal) });
  return parseRoom(stdout);
}
