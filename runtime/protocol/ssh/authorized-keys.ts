import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Log } from "../log.js";
import { parseAuthorizedKeys, type PublicKey } from "./keys.js";

/** Revocation takes effect within 1 s (SPEC 5); stat is cheap and, unlike inotify, sees every way a file is replaced. */
const POLL_MS = 400;

/** An authorized_keys file, followed: re-read when it changes, with a word to who must act on it. */
export class AuthorizedKeys implements Disposable {
  #keys = new Map<string, PublicKey>();
  #version = "";
  #timer: NodeJS.Timeout | undefined;
  readonly #path: string;
  readonly #log: Log;
  readonly #onChange: () => void;

  constructor(path: string, log: Log, onChange: () => void) {
    this.#path = path;
    this.#log = log;
    this.#onChange = onChange;
  }

  async start(): Promise<void> {
    await this.refresh();
    const tick = async (): Promise<void> => {
      await this.refresh();
      if (this.#timer) this.#timer = setTimeout(() => void tick(), POLL_MS);
    };
    this.#timer = setTimeout(() => void tick(), POLL_MS);
  }

  /** Reads the file when it changed since. A file that is gone allows nobody. */
  async refresh(): Promise<void> {
    let version = "none";
    try {
      // At once: it takes less than a turn through the thread pool, which would wake an idle process twice more.
      const { mtimeMs, size, ino } = statSync(this.#path);
      version = `${mtimeMs}.${size}.${ino}`;
      if (version === this.#version) return;
      this.#keys = parseAuthorizedKeys(await readFile(this.#path, "utf8"));
    } catch (error) {
      if (version === this.#version) return;
      this.#keys = new Map();
      this.#log.warn({ path: this.#path, error: String(error) }, "cannot read authorized keys: nobody may log in");
    }
    this.#version = version;
    this.#onChange();
  }

  find(blob: Buffer): PublicKey | undefined {
    return this.#keys.get(blob.toString("base64"));
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
