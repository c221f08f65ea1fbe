import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createGunzip } from "node:zlib";

const BLOCK_BYTES = 1024 * 1024;
const NEWLINE = 10;

/**
 * The lines of a file from its end on, in blocks of whole lines; in each of them the lines are in order. What is being written
 * (a last line without its end) is left out, and so is a line longer than a block.
 */
export async function* blocksFromEnd(path: string): AsyncGenerator<Buffer> {
  await using file = await open(path, "r");
  let { size: position } = await file.stat();
  // The end of a line whose beginning comes next; null where what comes next ends with no whole line.
  let rest: Buffer | null = null;
  while (position > 0) {
    const length = Math.min(BLOCK_BYTES, position);
    position -= length;
    const read = Buffer.alloc(length);
    await file.read(read, 0, length, position);
    const end = rest === null ? read.lastIndexOf(NEWLINE) + 1 : read.length;
    const block: Buffer = Buffer.concat([read.subarray(0, end), ...(rest === null ? [] : [rest])]);
    const first = position === 0 ? 0 : block.indexOf(NEWLINE) + 1;
    if (end === 0) continue;
    rest = first <= BLOCK_BYTES ? block.subarray(0, first) : null;
    if (block.length > first) yield block.subarray(first);
  }
}

/** The same of a compressed file, from its beginning on. Throws what node:zlib throws. */
export async function* blocksOfGzip(path: string): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  const plain = createReadStream(path).pipe(createGunzip({ chunkSize: BLOCK_BYTES }));
  try {
    for await (const chunk of plain as AsyncIterable<Buffer>) {
      const block = Buffer.concat([rest, chunk]);
      const end = block.lastIndexOf(NEWLINE) + 1;
      rest = block.length - end > BLOCK_BYTES ? Buffer.alloc(0) : block.subarray(end);
      if (end > 0) yield block.subarray(0, end);
    }
  } finally {
    plain.destroy();
  }
}
