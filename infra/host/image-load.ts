import { agentPaths, ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { writeInput, WRITE } from "./files.js";
import type { ImageFound, ImageRoom } from "./image.js";
import type { PackedImage } from "./image-archive.js";
import { runScript, SHA256 } from "./script.js";
import { counted } from "./upload.js";

const SEND_TIMEOUT_S = 3_600;
const LOAD_TIMEOUT_S = 900;
/** A disk that could not take another block has less than that. */
const FULL_BYTES = 65_536;

/**
 * Takes a packed image on standard input, compares its SHA-256, loads it. What arrives has no name, so it is gone with this
 * process, whatever ends that. A link that is lost for good ends it by time. Exit 9: another SHA-256, which it prints;
 * 8: Docker would not have it; 7: the disk is full.
 */
const RECEIVE = `${SHA256}
set -o pipefail
umask 077
file=$(mktemp -- "$1/image.XXXXXX")
exec 3<>"$file"
rm -f -- "$file"
timeout ${SEND_TIMEOUT_S} cat >&3 || { [ "$(df --output=avail -B1 -- "$1" | tail -n 1)" -ge ${FULL_BYTES} ] || exit 7; exit 1; }
have=$(sha256 </proc/self/fd/3)
have=\${have%% *}
if [ "$have" != "$2" ]; then echo "$have"; exit 9; fi
exec 9>>${agentPaths.imageLock}
flock -w ${LOAD_TIMEOUT_S} 9
zstd -q -dc </proc/self/fd/3 | timeout ${LOAD_TIMEOUT_S} docker load -q 9>&- || exit 8`;

/** Docker was asked, and said no: it may have lost a layer that it had. */
export class NotLoaded extends ConvocateError {}

/**
 * Sends a packed image and loads it there. Nothing is loaded of what did not arrive as it was sent.
 * @param sent called about once a second with how many bytes have gone.
 * @throws NotLoaded, or ConvocateError IO_ERROR when it did not arrive whole
 */
export async function loadImage(
  connection: Connection,
  packed: PackedImage,
  { sent, signal }: { sent: (bytes: number) => void; signal: AbortSignal },
): Promise<void> {
  const { exitCode, stdout, stderr } = await runScript(connection, RECEIVE, [agentPaths.arrivals, packed.sha256], {
    shell: "bash",
    input: counted(packed.read(), sent),
    timeoutMs: (SEND_TIMEOUT_S + 2 * LOAD_TIMEOUT_S) * 1000,
    allowFailure: true,
    signal,
  });
  const { name } = connection.host;
  const why = stderr.trim().split("\n").at(-1) ?? "";
  if (exitCode === 0) return;
  if (exitCode === 8) throw new NotLoaded("DOCKER_ERROR", `${name}: docker load failed: ${why}`);
  if (exitCode === 7)
    throw new ConvocateError(
      "DISK_FULL",
      `${name}: the disk of ${agentPaths.arrivals} filled while the image came, which was thrown away; make room there and run the same again`,
    );
  const what =
    exitCode === 9 ? `arrived with SHA-256 ${stdout.trim()} instead of ${packed.sha256}` : `did not arrive: ${why}`;
  throw new ConvocateError("IO_ERROR", `${name}: the image ${what}, and was thrown away; run the same again`);
}

/** What Docker adds to the layers themselves. */
const DOCKER_FACTOR = 1.1;
const mb = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;

/** Throws DISK_FULL unless a packed image has room on arrival, and unpacked where Docker keeps it. Pure. */
export function checkRoom(host: string, tag: string, packed: PackedImage, { arrival, docker }: ImageRoom): void {
  const unpacked = Math.ceil(packed.rawBytes * DOCKER_FACTOR);
  const together = arrival.mount === docker.mount;
  const needs = together
    ? [{ ...docker, bytes: packed.bytes + unpacked }]
    : [
        { ...arrival, bytes: packed.bytes },
        { ...docker, bytes: unpacked },
      ];
  for (const { mount, freeBytes, bytes } of needs) {
    if (bytes > freeBytes)
      throw new ConvocateError(
        "DISK_FULL",
        `${host}: ${tag} needs ${mb(bytes)} on the disk of ${mount}, ${mb(freeBytes)} are free; make room there and run the same again`,
      );
  }
}

/**
 * Exit 44, and what is there, unless Docker has exactly this image by that name. Nobody prunes
 * it until the end.
 */
const WHEN_THERE = `
exec 9>>${agentPaths.imageLock}
flock -w ${LOAD_TIMEOUT_S} 9
have=$(docker image inspect --format '{{.Id}} {{json .RootFS.Layers}}' -- "$1" 2>/dev/null) || :
if [ "$have" != "$2" ]; then echo "$have"; exit 44; fi`;

/** Names an image in a file, if exactly it is there, and nobody takes it in between; otherwise resolves to false. */
export async function nameImage(
  connection: Connection,
  path: string,
  tag: string,
  image: Pick<ImageFound, "imageId" | "layers">,
  signal: AbortSignal,
): Promise<boolean> {
  const entry = { type: "file", content: `${tag}\n`, mode: "0644", owner: "root", group: "root" } as const;
  const argv = [tag, `${image.imageId} ${JSON.stringify(image.layers)}`];
  const { exitCode, stderr } = await runScript(connection, WHEN_THERE + WRITE, argv, {
    input: writeInput({ [path]: entry }),
    // It may wait for a prune.
    timeoutMs: (LOAD_TIMEOUT_S + 60) * 1000,
    allowFailure: true,
    signal,
  });
  if (exitCode === 0 || exitCode === 44) return exitCode === 0;
  throw new ConvocateError("IO_ERROR", `${connection.host.name}: ${path} could not be written: ${stderr.trim()}`);
}
