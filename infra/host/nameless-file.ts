import { close, openSync, read, unlinkSync, write } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { promisify } from "node:util";
import { ConvocateError } from "../../runtime/domain/index.js";
import { cacheRoot } from "./checkout.js";

const BLOCK_BYTES = 256 * 1024;
const readAt = promisify(read);
const writeAt = promisify(write);

/**
 * A file that only this process can reach, on the disk of the cache (/tmp may be memory): it is gone when the process is,
 * whatever ends it. Its streams say where they are, so many may read at once; none of them closes it.
 */
export class NamelessFile {
  private constructor(readonly fd: number) {}

  static async open(): Promise<NamelessFile> {
    const folder = cacheRoot();
    await mkdir(folder, { recursive: true });
    const path = join(folder, `.export-${process.pid}-${Math.random().toString(36).slice(2)}`);
    const file = new NamelessFile(openSync(path, "wx+", 0o600));
    unlinkSync(path);
    return file;
  }

  /** `bytes` from `start` on. */
  read(start: number, bytes: number): Readable {
    return Readable.from(this.#blocks(start, bytes));
  }

  async *#blocks(start: number, bytes: number): AsyncGenerator<Buffer> {
    for (let left = bytes; left > 0;) {
      const block = Buffer.allocUnsafe(Math.min(left, BLOCK_BYTES));
      const { bytesRead } = await readAt(this.fd, block, 0, block.length, start + bytes - left);
      if (bytesRead === 0) throw new ConvocateError("IO_ERROR", `an exported image is ${left} bytes short`);
      left -= bytesRead;
      yield block.subarray(0, bytesRead);
    }
  }

  /** Takes what is to lie from `start` on. */
  write(start: number): Writable {
    let position = start;
    const put = async (chunk: Buffer): Promise<void> => {
      for (let done = 0; done < chunk.length;) {
        const { bytesWritten } = await writeAt(this.fd, chunk, done, chunk.length - done, position);
        done += bytesWritten;
        position += bytesWritten;
      }
    };
    return new Writable({
      write: (chunk: Buffer, _encoding, done) => void put(chunk).then(() => done(), done),
    });
  }

  async close(): Promise<void> {
    await promisify(close)(this.fd);
  }
}
