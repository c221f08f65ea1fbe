import { readFile, stat } from "node:fs/promises";
import { AgentId } from "../../domain/index.js";
import { followFile } from "../../protocol/follow.js";
import type { Log } from "../../protocol/log.js";
import { parseAuthorizedKeys } from "../../protocol/ssh/keys.js";

/** Which agents status_authorized_keys lets in, now and whenever that changes. */
export class Roster implements Disposable {
  readonly #path: string;
  readonly #log: Log;
  #version = "";
  #followed: Disposable | undefined;

  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
  }

  /** Reads once, then calls `onChange` again after every change. A file that cannot be read changes nothing. */
  async start(onChange: (ids: ReadonlySet<AgentId>) => void): Promise<void> {
    await this.#look(onChange);
    this.#followed = followFile(this.#path, () => this.#look(onChange));
  }

  [Symbol.dispose](): void {
    this.#followed?.[Symbol.dispose]();
  }

  async #look(onChange: (ids: ReadonlySet<AgentId>) => void): Promise<void> {
    try {
      const { mtimeMs, size, ino } = await stat(this.#path);
      const version = `${mtimeMs} ${size} ${ino}`;
      if (version === this.#version) return;
      const ids = new Set<AgentId>();
      for (const { comment } of parseAuthorizedKeys(await readFile(this.#path, "utf8")).values()) {
        const id = AgentId.safeParse(comment);
        if (id.success) ids.add(id.data);
        else this.#log.warn({ comment: comment.slice(0, 64) }, "a key in the file has no agent id as its comment");
      }
      this.#version = version;
      onChange(ids);
    } catch (error) {
      if (this.#version === "")
        this.#log.warn({ path: this.#path, error: String(error) }, "cannot read the list of agents");
      this.#version = "unreadable";
    }
  }
}
