import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AGENT_PORT, AgentId, agentKeyFiles, ConvocateError, parseAddress } from "../../domain/index.js";
import { follow } from "../../protocol/follow.js";
import type { Log } from "../../protocol/log.js";

/** What the shell needs to dial one agent, as provisioning left it in `agent-keys/<agent-id>/`. */
export interface AgentEntry {
  readonly id: AgentId;
  /** The inventory's name, or the id where there is none. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly privateKey: string;
  /** The pinned host key, an OpenSSH public key line. */
  readonly hostKey: string;
}

/** A command that is over by then need not follow anything; SPEC: directory changes are live within 2 s. */
const FOLLOW_AFTER_MS = 1000;
/** An agent is four files, written one after another: read sooner, it would not be complete, and be complained of. */
const SETTLE_MS = 300;

async function readEntry(directory: string, id: AgentId): Promise<AgentEntry> {
  const read = (name: string): Promise<string> => readFile(join(directory, id, name), "utf8");
  const [host, name, privateKey, hostKey] = await Promise.all([
    read(agentKeyFiles.host),
    read(agentKeyFiles.name).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return id;
      throw error;
    }),
    read(agentKeyFiles.privateKey),
    read(agentKeyFiles.hostKey),
  ]);
  const address = parseAddress(host, AGENT_PORT);
  if (!address) {
    const shown = JSON.stringify(host.trim().slice(0, 100));
    throw new ConvocateError("BAD_REQUEST", `not an address: ${shown}; expected host[:port]`);
  }
  return { id, name: name.trim() || id, ...address, privateKey, hostKey: hostKey.trim() };
}

/**
 * Follows the folder of agents: every agent in it, and later whatever is added, changed or taken away. A folder that is
 * half written or cannot be read is logged once and tried again; it harms no other.
 */
export class Registry implements Disposable {
  readonly #directory: string;
  readonly #log: Log;
  readonly #onAgent: (id: AgentId, entry: AgentEntry | null) => void;
  /** By agent id, what its files looked like when they were read. */
  #seen = new Map<AgentId, string>();
  #timer: NodeJS.Timeout | undefined;
  #followed: Disposable | undefined;

  /** `onAgent` is called with null when an agent is gone, and with a new entry when it is new or changed. */
  constructor(directory: string, log: Log, onAgent: (id: AgentId, entry: AgentEntry | null) => void) {
    this.#directory = directory;
    this.#log = log;
    this.#onAgent = onAgent;
  }

  /** Reads all, then follows the folders. @throws ConvocateError IO_ERROR when the folder is there and not readable. */
  async start(): Promise<void> {
    await this.#look();
    const folders = (): string[] => [this.#directory, ...[...this.#seen.keys()].map((id) => join(this.#directory, id))];
    let told = "";
    const look = async (): Promise<void> => {
      await sleep(SETTLE_MS, undefined, { ref: false });
      if (!this.#timer) return;
      const error = await this.#look().then(() => "", String);
      if (error !== "" && error !== told) this.#log.warn({ error }, "cannot read the folder of agents");
      told = error;
    };
    this.#timer = setTimeout(() => (this.#followed = follow({ folders, look })), FOLLOW_AFTER_MS);
    this.#timer.unref();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#followed?.[Symbol.dispose]();
  }

  async #look(): Promise<void> {
    const ids = await this.#list();
    const looked = await Promise.all(
      ids.map(async (id) => {
        const version = await this.#version(id);
        if (this.#seen.get(id) === version) return { id, version, entry: undefined };
        const entry = await readEntry(this.#directory, id).catch((error: unknown) => {
          this.#log.warn({ agent_id: id, error: String(error) }, "this agent's folder is not complete or not readable");
          return null;
        });
        return { id, version, entry };
      }),
    );
    const before = this.#seen;
    this.#seen = new Map(looked.map(({ id, version }) => [id, version]));
    for (const id of before.keys()) if (!this.#seen.has(id)) this.#onAgent(id, null);
    for (const { id, entry } of looked) if (entry !== undefined && (entry || before.has(id))) this.#onAgent(id, entry);
  }

  async #list(): Promise<AgentId[]> {
    try {
      const names = await readdir(this.#directory);
      return names.flatMap((name) => AgentId.safeParse(name).data ?? []).sort();
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw new ConvocateError(
        "IO_ERROR",
        `cannot read ${this.#directory}: run as the service user, or provision this host again`,
        { cause },
      );
    }
  }

  /** Changes when any of its files is replaced or rewritten. */
  async #version(id: AgentId): Promise<string> {
    const { host, name, privateKey, hostKey } = agentKeyFiles;
    const stats = await Promise.all(
      [host, name, privateKey, hostKey].map((file) =>
        stat(join(this.#directory, id, file)).then(
          ({ ino, mtimeMs, size, ctimeMs }) => `${ino} ${mtimeMs} ${ctimeMs} ${size}`,
          () => "none",
        ),
      ),
    );
    return stats.join("|");
  }
}
