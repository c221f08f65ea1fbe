import { chmod, cp, lchown, lstat, mkdir, open, readdir, realpath, rename, rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { ConvocateError, SessionId } from "../../domain/index.js";
import { isMissing, syncFolder, unwritable } from "../../protocol/files.js";
import { copyHome } from "../trees/copy.js";
import type { SkippedFiles } from "../trees/tree.js";

export interface Owner {
  uid: number;
  gid: number;
}

const UNFINISHED = ".convocate-new-";
const SET_ASIDE = ".convocate-old-";
const INCOMING = ".convocate-in-";

/**
 * The sessions' home directories, `<home>/<uuid>`. A new one is made beside its place and renamed into it once its metadata
 * is written; one to be deleted is set aside whole, and removed once its metadata is gone. So a crash leaves either nothing
 * or a whole session, and `leftovers` tells the next agent which.
 */
export class Homes {
  readonly #root: string;
  readonly #owner: Owner;
  /** Removals under way, by path. */
  readonly #clearing = new Map<string, Promise<void>>();

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
    const path = this.#beside(UNFINISHED, id);
    await this.#clear(path);
    try {
      await this.#fromSkel(path);
    } catch (error) {
      throw unwritable(path, error);
    }
  }

  /** Makes a home in waiting as a copy of another one, which may be in use. Throws IO_ERROR. */
  async prepareCopy(from: SessionId, id: SessionId, signal?: AbortSignal): Promise<SkippedFiles> {
    await this.check(from);
    const path = this.#beside(UNFINISHED, id);
    await this.#clear(path);
    return await copyHome(this.path(from), path, signal);
  }

  /** Where the home of a session waits that another agent sends. */
  incoming(id: SessionId): string {
    return join(dirname(this.path(id)), `${INCOMING}${id}`);
  }

  /** An empty folder to receive a home in. */
  async receive(id: SessionId): Promise<string> {
    const path = this.incoming(id);
    await this.#clear(path);
    await mkdir(path, { mode: 0o700 });
    return path;
  }

  /** Puts what was received in its place; nothing happens when it is there already. */
  async accept(id: SessionId): Promise<void> {
    if (await exists(this.path(id))) return;
    await rename(this.incoming(id), this.path(id));
    await syncFolder(this.#root);
  }

  async refuse(id: SessionId): Promise<void> {
    await this.#clear(this.incoming(id));
  }

  /** Sessions that another agent sent, or began to send. */
  async allIncoming(): Promise<SessionId[]> {
    const names = await readdir(this.#root);
    return names.flatMap((name) =>
      name.startsWith(INCOMING) ? (SessionId.safeParse(name.slice(INCOMING.length)).data ?? []) : [],
    );
  }

  async settle(id: SessionId): Promise<void> {
    await rename(this.#beside(UNFINISHED, id), this.path(id));
    await syncFolder(this.#root);
  }

  async discard(id: SessionId): Promise<void> {
    await this.#clear(this.#beside(UNFINISHED, id));
  }

  /** Takes a home out of its place, in one step that `bringBack` undoes; nothing when it is done already. */
  async setAside(id: SessionId): Promise<void> {
    // A session whose home is lost can be deleted all the same.
    if (!(await this.exists(id))) return;
    const aside = this.#beside(SET_ASIDE, id);
    try {
      await rm(aside, { recursive: true, force: true });
      await rename(this.path(id), aside);
      await syncFolder(this.#root);
    } catch (error) {
      throw unwritable(aside, error);
    }
  }

  async bringBack(id: SessionId): Promise<void> {
    if (!(await this.isSetAside(id)) || (await this.exists(id))) return;
    await rename(this.#beside(SET_ASIDE, id), this.path(id));
    await syncFolder(this.#root);
  }

  async isSetAside(id: SessionId): Promise<boolean> {
    return await exists(this.#beside(SET_ASIDE, id));
  }

  /** Removes a home that was set aside, and all in it; a link in its place is removed itself, never what it points at. */
  async remove(id: SessionId): Promise<void> {
    const aside = this.#beside(SET_ASIDE, id);
    try {
      await rm(aside, { recursive: true, force: true, maxRetries: 3 });
      await this.discard(id);
      await syncFolder(this.#root);
    } catch (error) {
      throw new ConvocateError(
        "IO_ERROR",
        `session ${id} is deleted, but what was its home is still at ${aside}: ${String(error)}: remove it by hand`,
        { cause: error },
      );
    }
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

  /** What a crash left: homes in waiting, and homes that were set aside. */
  async leftovers(): Promise<{ unfinished: SessionId[]; setAside: SessionId[] }> {
    await mkdir(this.#root, { recursive: true });
    const entries = await readdir(this.#root);
    const of = (prefix: string): SessionId[] =>
      entries.flatMap((entry) => {
        const id = SessionId.safeParse(entry.startsWith(prefix) ? entry.slice(prefix.length) : "");
        return id.success ? [id.data] : [];
      });
    return { unfinished: of(UNFINISHED), setAside: of(SET_ASIDE) };
  }

  async exists(id: SessionId): Promise<boolean> {
    return await exists(this.path(id));
  }

  /** Removes what is there, joining a removal that is under way: none may go on in what is made there next. */
  async #clear(path: string): Promise<void> {
    const before = this.#clearing.get(path);
    const mine = before ?? rm(path, { recursive: true, force: true }).finally(() => void this.#clearing.delete(path));
    this.#clearing.set(path, mine);
    await mine;
  }

  #beside(prefix: string, id: SessionId): string {
    return join(dirname(this.path(id)), `${prefix}${id}`);
  }

  async #fromSkel(path: string): Promise<void> {
    const named = join(this.#root, ".skel");
    const entries = await readdir(named).catch(async (error: unknown) => {
      if (isMissing(error) && !(await exists(named))) return [];
      throw error;
    });
    // Most have none, or an empty one: a home like that takes three steps, a copy some twenty.
    if (entries.length === 0) {
      await mkdir(path, { mode: 0o700 });
      await lchown(path, this.#owner.uid, this.#owner.gid);
      return;
    }
    // A link to it is as good; copied as one, every session's home would be that link.
    await cp(await realpath(named), path, {
      recursive: true,
      verbatimSymlinks: true,
      preserveTimestamps: true,
      filter: async (source) => {
        const found = await lstat(source);
        return found.isFile() || found.isDirectory() || found.isSymbolicLink();
      },
    });
    await chmod(path, 0o700);
    await this.#giveAway(path);
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
