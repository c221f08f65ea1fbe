import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { ConvocateError } from "../../domain/index.js";
import { refuseFull } from "./room.js";
import { diskFull, firstComplaint, pack, syncFileSystem, unpack } from "./tar.js";
import { skippedFiles, walk, type SkippedFiles } from "./tree.js";

/** GNU tar's status when files changed or vanished meanwhile, which a running session's do. */
const CHANGED = 1;

/**
 * Copies a home, also one in use: sockets, FIFOs and devices are left out, everything else is as it was, and on disk once
 * this is over. Throws IO_ERROR, DISK_FULL or the signal's reason; the copy is to be discarded then.
 */
export async function copyHome(from: string, to: string, signal?: AbortSignal): Promise<SkippedFiles> {
  const over = new AbortController();
  const either = AbortSignal.any([over.signal, ...(signal ? [signal] : [])]);
  try {
    const tree = await walk(from, either);
    await refuseFull(dirname(to), tree.bytes);
    await mkdir(to, { mode: 0o700 });
    const packing = pack(from, tree, either, { changing: true });
    const unpacking = unpack(to, either);
    // Its end says nothing new: each tar tells its own failure, and ends when the other does.
    await pipeline(packing.output, unpacking.input).catch(() => undefined);
    const [packed, unpacked] = await Promise.all([packing.done, unpacking.done]);
    // One that a signal ended did not fail: the other has left it with a broken pipe.
    if (packed.killedBy === null && packed.exitCode > CHANGED) throw failed(from, packed.said);
    if (unpacked.exitCode !== 0) throw diskFull(to, unpacked.said) ?? failed(to, unpacked.said);
    if (packed.killedBy !== null) throw failed(from, `tar was ended by ${packed.killedBy}`);
    await syncFileSystem(to, either);
    return skippedFiles(tree);
  } finally {
    over.abort();
  }
}

function failed(path: string, said: string): ConvocateError {
  return new ConvocateError(
    "IO_ERROR",
    `${path} cannot be copied: ${firstComplaint(said)}: see to its disk, then try again`,
  );
}
