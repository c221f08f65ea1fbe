import { mkdir, readFile, readdir, unlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { AgentId, DnsName, Limits, SessionId, SessionName, Timestamp } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { isMissing, syncFolder, writeWhole } from "../../protocol/files.js";

/**
 * Where a session stands between two agents. `moving`: it is being sent, and stays here unless that ends well. `moved`: the
 * other agent has it; what is here is disabled until it is forgotten. `arrived`: it came with that transfer.
 */
const Transfer = z.discriminatedUnion("state", [
  z.object({
    state: z.enum(["moving", "moved"]),
    id: z.uuid(),
    to: AgentId,
    /** Whether it ran before it was stopped for the move. */
    was_running: z.boolean(),
    since: Timestamp,
  }),
  z.object({ state: z.literal("arrived"), id: z.uuid(), from: AgentId, since: Timestamp }),
]);
type Transfer = z.infer<typeof Transfer>;

/** What the agent keeps of a session; a file of its own, which no container can write. */
export const Metadata = z.object({
  id: SessionId,
  name: SessionName,
  port: z.int().min(0).max(65535),
  protocol: z.enum(["tcp", "udp"]),
  dns_name: DnsName.nullable(),
  public: z.boolean().default(false),
  docker: z.boolean().default(false),
  /** Whether an edit waits for the next restart. */
  restart_to_apply: z.boolean().default(false),
  limits: Limits,
  created_at: Timestamp,
  last_accessed_at: Timestamp,
  /** Of the create that made it: the same one again gives this session. */
  request_id: z.string(),
  /** Whether its container ever started, so that the next one goes on with the conversation. */
  started_before: z.boolean(),
  transfer: Transfer.optional(),
  /** The boot of the host in which it was last started, until it is killed or ends by itself (boot/after-boot.ts). */
  runs_in_boot: z.string().nullish(),
  /** The port that its last container was made with; an edited session holds both until its next restart. */
  published: z.object({ port: z.int(), protocol: z.enum(["tcp", "udp"]) }).nullish(),
  /** The request of its last restart: the same one again starts nothing. */
  restarted_by: z.string().nullish(),
});
export type Metadata = z.infer<typeof Metadata>;

/**
 * All sessions of this agent: read once, kept in memory, every change written through. A change is seen by readers only once
 * it is on disk; writes of one session keep their order.
 */
export class MetadataStore {
  readonly #folder: string;
  readonly #byId = new Map<SessionId, Metadata>();
  readonly #writing = new Map<SessionId, Promise<unknown>>();
  /** Names of files that cannot be understood. */
  readonly #unreadable = new Set<string>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Reads the folder. A file that cannot be understood is left where it is and logged. */
  static async open(folder: string, log: Log): Promise<MetadataStore> {
    const store = new MetadataStore(folder);
    const files = await readdir(folder).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    for (const file of files) {
      if (!file.endsWith(".json")) continue;
      const read = await readMetadata(join(folder, file));
      if (read.ok) store.#byId.set(read.metadata.id, read.metadata);
      else {
        store.#unreadable.add(file);
        log.error({ file, why: read.why }, "a session's metadata cannot be read: it is left alone and not listed");
      }
    }
    return store;
  }

  /** Makes the folder when missing, and removes what writes that a crash cut off left; for the agent alone, which writes. */
  async tidy(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    for (const file of await readdir(this.#folder)) if (file.endsWith(".part")) await unlink(join(this.#folder, file));
  }

  all(): Metadata[] {
    return [...this.#byId.values()];
  }

  get(id: SessionId): Metadata | undefined {
    return this.#byId.get(id);
  }

  /** Whether there is metadata of that id which cannot be understood: a newer release's, or damaged. */
  isUnreadable(id: SessionId): boolean {
    return this.#unreadable.has(`${id}.json`);
  }

  async put(metadata: Metadata): Promise<void> {
    await this.#inOrder(metadata.id, () => this.#write(metadata));
  }

  /** Changes what is there when its turn comes; nothing when the session is gone by then. */
  async update(id: SessionId, change: Partial<Omit<Metadata, "id">>): Promise<void> {
    await this.#inOrder(id, async () => {
      const current = this.#byId.get(id);
      if (current) await this.#write({ ...current, ...change });
    });
  }

  async remove(id: SessionId): Promise<void> {
    await this.#inOrder(id, async () => {
      await unlink(this.#path(id)).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
      });
      await syncFolder(this.#folder);
      this.#byId.delete(id);
    });
  }

  #path(id: SessionId): string {
    // Branded, and checked once more where it becomes a path.
    return join(this.#folder, `${SessionId.parse(id)}.json`);
  }

  async #write(metadata: Metadata): Promise<void> {
    await writeWhole(this.#path(metadata.id), `${JSON.stringify(metadata, null, 2)}\n`, 0o600);
    this.#byId.set(metadata.id, metadata);
  }

  async #inOrder(id: SessionId, work: () => Promise<void>): Promise<void> {
    const mine = (this.#writing.get(id) ?? Promise.resolve()).catch(() => undefined).then(work);
    this.#writing.set(id, mine);
    try {
      await mine;
    } finally {
      if (this.#writing.get(id) === mine) this.#writing.delete(id);
    }
  }
}

async function readMetadata(path: string): Promise<{ ok: true; metadata: Metadata } | { ok: false; why: string }> {
  try {
    const parsed = Metadata.safeParse(JSON.parse(await readFile(path, "utf8")));
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      return { ok: false, why: `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not understood"}` };
    }
    if (basename(path) !== `${parsed.data.id}.json`) return { ok: false, why: "its id is not its file's name" };
    return { ok: true, metadata: parsed.data };
  } catch (error) {
    return { ok: false, why: error instanceof Error ? error.message : String(error) };
  }
}
