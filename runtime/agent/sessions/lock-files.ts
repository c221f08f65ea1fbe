import { readFileSync } from "node:fs";
import { mkdir, readFile, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { SessionId, Timestamp } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { isMissing, writeWhole } from "../../protocol/files.js";

/** A process, told apart from a later one with the same number. */
const ProcessMark = z.object({
  pid: z.int().min(0),
  /** Clock ticks from boot to its start: field 22 of /proc/PID/stat (proc_pid_stat(5)). */
  started: z.string(),
  boot_id: z.string(),
});
type ProcessMark = z.infer<typeof ProcessMark>;

/** What is known of operations' processes; tests bring their own. */
export interface LockOwners {
  self: ProcessMark;
  alive: (mark: ProcessMark) => boolean;
}

/** An operation in flight, or one that a crash interrupted. `note` is what its end would have to tell of the session. */
export const LockRecord = z.object({
  id: SessionId,
  operation: z.string().min(1).max(32),
  since: Timestamp,
  process: ProcessMark,
  note: z.record(z.string(), z.unknown()).default({}),
});
export type LockRecord = z.infer<typeof LockRecord>;

/** The locks' folder. A lock is advice for people and for the next agent; what is true of a session is what its files say. */
export class LockFiles {
  readonly #folder: string;
  readonly #log: Log;
  readonly owners: LockOwners;

  constructor(folder: string, log: Log, owners: LockOwners = hostOwners()) {
    this.#folder = folder;
    this.#log = log;
    this.owners = owners;
  }

  /** Every lock that is there; one that cannot be understood is no lock. */
  async read(): Promise<LockRecord[]> {
    const records: LockRecord[] = [];
    for (const file of await this.#files()) {
      const id = SessionId.safeParse(file.endsWith(".json") ? file.slice(0, -".json".length) : "");
      if (!id.success) continue;
      const record = await readRecord(join(this.#folder, file));
      if (record?.id === id.data) records.push(record);
      else this.#log.warn({ file }, "a lock that cannot be understood is ignored");
    }
    return records;
  }

  /** Makes the folder, and removes what writes that a crash cut off left. */
  async tidy(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    for (const file of await this.#files()) if (file.endsWith(".part")) await unlink(join(this.#folder, file));
  }

  /** A disk that is full must not keep anybody from deleting a session: what cannot be written is logged. */
  async write(record: LockRecord): Promise<void> {
    try {
      await writeWhole(this.#path(record.id), `${JSON.stringify(record)}\n`, 0o600);
    } catch (error) {
      this.#log.warn({ session: record.id, error: String(error) }, "the lock of an operation is not on disk");
    }
  }

  async remove(id: SessionId): Promise<void> {
    try {
      await unlink(this.#path(id));
    } catch (error) {
      if (!isMissing(error)) this.#log.warn({ session: id, error: String(error) }, "a lock stays on disk");
    }
  }

  #path(id: SessionId): string {
    return join(this.#folder, `${SessionId.parse(id)}.json`);
  }

  async #files(): Promise<string[]> {
    return await readdir(this.#folder).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
  }
}

/** This process and its host, as /proc tells. */
export function hostOwners(): LockOwners {
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const self: ProcessMark = { pid: process.pid, started: startOf(process.pid) ?? "", boot_id: bootId };
  return {
    self,
    alive: (mark) => mark.boot_id === bootId && mark.pid > 0 && startOf(mark.pid) === mark.started,
  };
}

/** Null when there is no such process, or only its zombie. */
function startOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in brackets, which may hold anything: what follows begins with the third.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

async function readRecord(path: string): Promise<LockRecord | null> {
  try {
    const parsed = LockRecord.safeParse(JSON.parse(await readFile(path, "utf8")));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
