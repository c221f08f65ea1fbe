import { statfs } from "node:fs/promises";
import { ConvocateError } from "../../domain/index.js";

/** What a copy leaves free: others' metadata and events must be written meanwhile. */
const SPARE_BYTES = 64 * 1024 * 1024;

/** DISK_FULL unless a home of so many bytes fits below this folder, before anything of it is written. */
export async function refuseFull(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= bytes + SPARE_BYTES) return;
  throw new ConvocateError(
    "DISK_FULL",
    `its home takes ${megabytes(bytes)} and ${megabytes(SPARE_BYTES)} must stay free, but ${folder} has ` +
      `${megabytes(free)} left: make room there, or choose another agent`,
  );
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`;
}
