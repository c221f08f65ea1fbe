import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";

/** Of one tree at a time; of a deeper one those next to its root are opened again when they are come back to. */
const MAX_OPEN = 64;

/**
 * The folders of a home, each opened from the one that it lies in and never through a link. A session may put a link in a
 * folder's place at any moment: what is asked for below an open folder's path in /proc (proc_pid_fd(5)) stays in that folder.
 * Paths are as an Entry's.
 */
export class OpenFolders implements AsyncDisposable {
  readonly #root: string;
  /** Each lies below the one before it. */
  readonly #open: { path: string; handle: FileHandle }[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  /** Where the open folder is until the next call. Throws what open(2) throws: ENOENT, ENOTDIR where a link is. */
  async at(path: string): Promise<string> {
    let last = this.#open.at(-1);
    for (; last && path !== last.path && !path.startsWith(`${last.path}/`); last = this.#open.at(-1)) {
      this.#open.pop();
      await last.handle.close();
    }
    last ??= await this.#add(".", Buffer.from(this.#root));
    for (const name of path.slice(last.path.length + 1).split("/")) {
      if (name === "") continue;
      last = await this.#add(`${last.path}/${name}`, within(pathOf(last.handle), name));
      if (this.#open.length > MAX_OPEN) await this.#open.splice(1, 1)[0]?.handle.close();
    }
    return pathOf(last.handle);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { handle } of this.#open.splice(0)) await handle.close();
  }

  async #add(path: string, where: Buffer): Promise<{ path: string; handle: FileHandle }> {
    const handle = await open(where, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    const added = { path, handle };
    this.#open.push(added);
    return added;
  }
}

/** A name, its bytes as Latin-1, below a path. */
export function within(folder: string, name: string): Buffer {
  return Buffer.from(`${folder}/${name}`, "latin1");
}

function pathOf({ fd }: FileHandle): string {
  return `/proc/self/fd/${fd}`;
}
