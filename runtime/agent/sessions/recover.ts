import { z } from "zod";
import { DnsName, SessionName, type SessionId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { timestamp, type Clock } from "../clock.js";
import type { EventSink } from "../events/sink.js";
import type { Homes } from "./homes.js";
import type { LockFiles, LockRecord } from "./lock-files.js";
import type { Locks } from "./locks.js";
import { tellCreated } from "./maker.js";
import type { MetadataStore } from "./metadata.js";
import { tellDeleted } from "./remover.js";

/** The note of a delete's lock. */
const Deleted = z.object({ name: SessionName, dns_name: DnsName.nullable() });

export interface RecoverParts {
  store: MetadataStore;
  homes: Homes;
  lockFiles: LockFiles;
  locks: Locks;
  events: EventSink;
  clock: Clock;
  log: Log;
}

/**
 * Sees to what an agent that was killed left, before the next one serves. Files decide, not locks: a home in waiting belongs
 * to a session if its metadata was written, a home set aside is nobody's if its metadata is gone. Creates and clones are
 * finished or removed here; other interrupted operations stay as stale locks, which every list shows. Metadata that cannot be
 * read is metadata all the same: nothing of such a session is touched.
 */
export async function recover(parts: RecoverParts): Promise<void> {
  const { store, lockFiles, locks, events } = parts;
  await store.tidy();
  await lockFiles.tidy();
  await settleHomes(parts);
  for (const record of await lockFiles.read()) {
    if (store.isUnreadable(record.id)) continue;
    const session = store.get(record.id);
    const alive = lockFiles.owners.alive(record.process);
    if (alive || (session && !isMaking(record))) {
      locks.leave(record);
      continue;
    }
    // Told a second time rather than never: the crash may have come before the first.
    if (session) tellCreated(events, session);
    const deleted = Deleted.safeParse(record.note);
    if (!session && record.operation === "delete" && deleted.success) {
      tellDeleted(events, { id: record.id, ...deleted.data });
    }
    await lockFiles.remove(record.id);
  }
}

async function settleHomes({ store, homes, locks, lockFiles, clock, log }: RecoverParts): Promise<void> {
  const { unfinished, setAside } = await homes.leftovers();
  // One that cannot be seen to must not keep the agent from serving the others.
  const seeTo = async (id: SessionId, what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
      log.warn({ session: id }, what);
    } catch (error) {
      log.error({ session: id, error: String(error) }, `failed: ${what}`);
    }
  };
  for (const id of unfinished) {
    if (store.isUnreadable(id)) continue;
    if (store.get(id) && !(await homes.exists(id))) {
      await seeTo(id, "finished a create that was interrupted", () => homes.settle(id));
    } else {
      // Nobody waits for it, and a big one takes its time.
      void seeTo(id, "removed what an interrupted create left", () => homes.discard(id));
    }
  }
  for (const id of setAside) {
    if (store.isUnreadable(id)) continue;
    if (!store.get(id)) {
      void seeTo(id, "finished a delete that was interrupted", () => homes.remove(id));
    } else if (store.get(id)?.transfer?.state !== "moved" && !(await homes.exists(id))) {
      // A delete that was interrupted, even if its lock is lost.
      const process = { ...lockFiles.owners.self, pid: 0 };
      locks.leave({ id, operation: "delete", since: timestamp(clock), process, note: {} });
    }
  }
}

function isMaking({ operation }: LockRecord): boolean {
  return operation === "create" || operation === "clone";
}
