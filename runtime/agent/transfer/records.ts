import { mkdir, readFile, readdir, unlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { SessionId, Timestamp, type SessionId as Id } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { isMissing, syncFolder, writeWhole } from "../../protocol/files.js";
import { Metadata } from "../sessions/metadata.js";

/**
 * What this agent knows of a session that another one sent. `waiting`: all of it is on disk, verified, and shown to nobody.
 * `arrived`: it became a session here; kept until the sender has forgotten it, so that a late question is answered truly
 * even when the session was deleted or moved on meanwhile.
 */
const Record = z.discriminatedUnion("state", [
  z.object({ state: z.literal("waiting"), transfer_id: z.uuid(), since: Timestamp, session: Metadata }),
  z.object({ state: z.literal("arrived"), transfer_id: z.uuid(), since: Timestamp, session_id: SessionId }),
]);
export type TransferRecord = z.infer<typeof Record>;

/** One record a session, each a file written whole. */
export class TransferRecords {
  readonly #folder: string;
  readonly #byId = new Map<Id, TransferRecord>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Reads the folder. A file that cannot be understood is left where it is and logged. */
  static async open(folder: string, log: Log): Promise<TransferRecords> {
    const records = new TransferRecords(folder);
    const files = await readdir(folder).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    for (const file of files) {
      if (!file.endsWith(".json")) continue;
      const read = Record.safeParse(await json(join(folder, file)));
      if (read.success && basename(file, ".json") === idOf(read.data)) records.#byId.set(idOf(read.data), read.data);
      else log.error({ file }, "a record of a move cannot be read: it is left alone");
    }
    return records;
  }

  /** Makes the folder when missing, and removes what writes that a crash cut off left; for the agent alone, which writes. */
  async tidy(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    for (const file of await readdir(this.#folder)) if (file.endsWith(".part")) await unlink(join(this.#folder, file));
  }

  get(id: Id): TransferRecord | undefined {
    return this.#byId.get(id);
  }

  all(): TransferRecord[] {
    return [...this.#byId.values()];
  }

  /** The sessions that wait here. */
  waiting(): Metadata[] {
    return this.all().flatMap((record) => (record.state === "waiting" ? [record.session] : []));
  }

  async put(record: TransferRecord): Promise<void> {
    await writeWhole(this.#path(idOf(record)), `${JSON.stringify(record, null, 2)}\n`, 0o600);
    this.#byId.set(idOf(record), record);
  }

  async remove(id: Id): Promise<void> {
    await unlink(this.#path(id)).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
    await syncFolder(this.#folder);
    this.#byId.delete(id);
  }

  #path(id: Id): string {
    return join(this.#folder, `${id}.json`);
  }
}

export function idOf(record: TransferRecord): Id {
  return record.state === "waiting" ? record.session.id : record.session_id;
}

async function json(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    return undefined;
  }
}
