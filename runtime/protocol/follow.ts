import { watch, type FSWatcher } from "node:fs";
import { basename, dirname } from "node:path";

/** What the kernel does not tell of: a file system mounted over the folder, one that other hosts write to. */
const WATCHED_POLL_MS = 60_000;
/** Where it tells nothing: the folder is missing, or the user has all the watches that he may. */
const UNWATCHED_POLL_MS = 400;

/**
 * Calls `look` whenever something may have happened to the file: at once where the kernel tells, and every minute besides,
 * or every 0.4 s where it cannot. `look` finds out itself what happened, if anything, and must not throw; it is not called
 * again before it has ended. What wakes an idle process costs it some milliseconds, so that looking all the time is not cheap.
 */
export function followFile(path: string, look: () => Promise<void>): Disposable {
  const folder = dirname(path);
  let watcher: FSWatcher | null = null;
  let timer: NodeJS.Timeout | undefined;
  let looking = false;
  let again = false;
  let over = false;

  const unwatch = (): void => {
    watcher?.close();
    watcher = null;
  };

  // The folder, since a file that is put in the place of the old one is another to the kernel. Anew each time: so may the folder.
  const rewatch = (): void => {
    unwatch();
    try {
      watcher = watch(folder, (_event, name) => {
        if (name === basename(path)) void turn();
        // The folder itself was moved or removed, or what is told does not name it.
        else if (name === null || name === basename(folder)) void turn(rewatch);
      });
      watcher.on("error", () => {
        unwatch();
        wait();
      });
    } catch {
      // Looked at more often instead.
      unwatch();
    }
  };

  const turn = async (first?: () => void): Promise<void> => {
    if (over) return;
    first?.();
    again = true;
    if (looking) return;
    looking = true;
    do {
      again = false;
      await look();
    } while (stillDue());
    looking = false;
    wait();
  };

  const stillDue = (): boolean => again && !over;

  const wait = (): void => {
    clearTimeout(timer);
    if (!over) timer = setTimeout(() => void turn(rewatch), watcher ? WATCHED_POLL_MS : UNWATCHED_POLL_MS);
  };

  void turn(rewatch);
  return {
    [Symbol.dispose]: () => {
      over = true;
      clearTimeout(timer);
      unwatch();
    },
  };
}
