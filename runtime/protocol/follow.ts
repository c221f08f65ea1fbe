import { watch, type FSWatcher } from "node:fs";
import { basename, dirname } from "node:path";

/** What the kernel does not tell of: a file system mounted over the folder, one that other hosts write to. */
const WATCHED_POLL_MS = 60_000;
/** Where it tells nothing: a folder is missing, or the user has all the watches that he may. */
const UNWATCHED_POLL_MS = 400;

export interface Followed {
  /** Folders, not what is in them, since a file that is put in the place of an old one is another to the kernel. */
  folders: () => readonly string[];
  /** The one name in these folders that matters; all when left out. */
  name?: string;
  /** Finds out itself what happened, if anything, and must not throw; it is not called again before it has ended. */
  look: () => Promise<void>;
}

/**
 * Calls `look` whenever something may have happened in one of the folders: at once where the kernel tells, and every minute
 * besides, or every 0.4 s where it cannot. Which folders these are is asked again after each look. What wakes an idle process
 * costs it some milliseconds, so that looking all the time is not cheap. It keeps no program running.
 */
export function follow({ folders, name: wanted, look }: Followed): Disposable {
  let watched = "";
  let watchers: FSWatcher[] | null = null;
  let timer: NodeJS.Timeout | undefined;
  let looking = false;
  let again = false;
  let over = false;

  const unwatch = (): void => {
    for (const watcher of watchers ?? []) watcher.close();
    watchers = null;
  };

  // Anew each time: a folder, too, may have been put in the place of another.
  const rewatch = (): void => {
    unwatch();
    const now = folders();
    watched = now.join("\n");
    const opened: FSWatcher[] = [];
    try {
      for (const folder of now) {
        const watcher = watch(folder, { persistent: false }, (_event, name) => {
          // The folder itself was moved or removed, or what is told does not name it.
          if (name === null || name === basename(folder)) void turn(rewatch);
          else if (wanted === undefined || name === wanted) void turn();
        });
        opened.push(watcher);
        watcher.on("error", () => {
          unwatch();
          wait();
        });
      }
      watchers = opened;
    } catch {
      // Looked at more often instead.
      for (const watcher of opened) watcher.close();
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
      if (stillHere() && folders().join("\n") !== watched) {
        rewatch();
        // What came between the look and the watch.
        again = true;
      }
    } while (again && stillHere());
    looking = false;
    wait();
  };

  const stillHere = (): boolean => !over;

  const wait = (): void => {
    clearTimeout(timer);
    if (over) return;
    timer = setTimeout(() => void turn(rewatch), watchers ? WATCHED_POLL_MS : UNWATCHED_POLL_MS);
    timer.unref();
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

/** The same for one file. */
export function followFile(path: string, look: () => Promise<void>): Disposable {
  return follow({ folders: () => [dirname(path)], name: basename(path), look });
}
