import { chmod, cp, lchown, lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { ConvocateError, SessionId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { isMissing, syncFolder } from "../files.js";

export interface Owner {
  uid: number;
  gid: number;
}

const UNFINISHED = ".convocate-new-";

/**
 * The sessions' home directories, `<home>/<uuid>`. A new one is made beside its place and renamed into it once its metadata
 * is written, so that a crash leaves either nothing or a whole session (`tidy` sees to the rest at the next start).
 */
export class Homes {
  readonly #root: string;
  readonly #owner: Owner;

  constructor(root: string, owner: Owner) {
    this.#root = root;
    this.#owner = owner;
  }

  /** The path of a session's home. Ids are branded, and checked once more where they become a path. */
  path(id: SessionId): string {
    const path = join(this.#root, SessionId.parse(id));
    if (relative(this.#root, path) !== id) throw new ConvocateError("INTERNAL", "a session's home left its folder");
    return path;
  }

  /** Makes a home from the skel, in waiting: `settle` puts it in place. */
  async prepare(id: SessionId): Promise<void> {
    const path = this.#unfinished(id);
    await rm(path, { recursive: true, force: true });
    const skel = join(this.#root, ".skel");
    if (await exists(skel)) {
      await cp(skel, path, {
        recursive: true,
        verbatimSymlinks: true,
        preserveTimestamps: true,
        filter: async (source) => {
          const found = await lstat(source);
          return found.isFile() || found.isDirectory() || found.isSymbolicLink();
        },
      });
    } else {
      await mkdir(path);
    }
    await chmod(path, 0o700);
    await this.#giveAway(path);
  }

  async settle(id: SessionId): Promise<void> {
    await rename(this.#unfinished(id), this.path(id));
    await syncFolder(this.#root);
  }

  async discard(id: SessionId): Promise<void> {
    await rm(this.#unfinished(id), { recursive: true, force: true });
  }

  /** Removes a home and all in it; a link in its place is removed itself, never what it points at. */
  async remove(id: SessionId): Promise<void> {
    await rm(this.path(id), { recursive: true, force: true, maxRetries: 3 });
    await this.discard(id);
    await syncFolder(this.#root);
  }

  /** Throws IO_ERROR unless the home is a directory of its own. */
  async check(id: SessionId): Promise<void> {
    const found = await lstatOrNull(this.path(id));
    if (found?.isDirectory()) return;
    throw new ConvocateError(
      "IO_ERROR",
      `${this.path(id)} ${found ? "is no directory" : "is missing"}: restore it from a backup, or delete the session`,
    );
  }

  /**
   * Makes the places where something will be mounted, owned by the session's user; Docker would make them root's. What is
   * there stays.
   */
  async makeMountPoints(id: SessionId, points: { path: string; directory: boolean }[]): Promise<void> {
    for (const point of points) {
      const path = join(this.path(id), point.path);
      if (await lstatOrNull(path)) continue;
      if (point.directory) await mkdir(path, { mode: 0o700 });
      else await (await open(path, "wx", 0o600)).close();
      await lchown(path, this.#owner.uid, this.#owner.gid);
    }
  }

  /** Ends what a crash interrupted: a home whose metadata was written is put in place, any other unfinished one removed. */
  async tidy(known: (id: SessionId) => boolean, log: Log): Promise<void> {
    await mkdir(this.#root, { recursive: true });
    for (const entry of await readdir(this.#root)) {
      if (!entry.startsWith(UNFINISHED)) continue;
      const id = SessionId.safeParse(entry.slice(UNFINISHED.length));
      if (!id.success) continue;
      if (known(id.data) && !(await exists(this.path(id.data)))) {
        await this.settle(id.data);
        log.warn({ session: id.data }, "finished a create that was interrupted");
      } else {
        await this.discard(id.data);
        log.warn({ session: id.data }, "removed what an interrupted create left");
      }
    }
  }

  #unfinished(id: SessionId): string {
    return join(dirname(this.path(id)), `${UNFINISHED}${id}`);
  }

  async #giveAway(path: string): Promise<void> {
    await lchown(path, this.#owner.uid, this.#owner.gid);
    const found = await lstat(path);
    if (!found.isDirectory()) return;
    for (const entry of await readdir(path)) await this.#giveAway(join(path, entry));
  }
}

async function exists(path: string): Promise<boolean> {
  return (await lstatOrNull(path)) !== null;
}

async function lstatOrNull(path: string): Promise<Awaited<ReturnType<typeof lstat>> | null> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
