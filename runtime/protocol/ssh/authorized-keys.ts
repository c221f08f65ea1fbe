import { readFile, stat } from "node:fs/promises";
import { followFile } from "../follow.js";
import type { Log } from "../log.js";
import { parseAuthorizedKeys, type PublicKey } from "./keys.js";

/** An authorized_keys file, followed: re-read when it changes, with a word to who must act on it. */
export class AuthorizedKeys implements Disposable {
  #keys = new Map<string, PublicKey>();
  #version = "";
  #followed: Disposable | undefined;
  #reading: Promise<void> = Promise.resolve();
  readonly #path: string;
  readonly #log: Log;
  readonly #onChange: () => void;

  constructor(path: string, log: Log, onChange: () => void) {
    this.#path = path;
    this.#log = log;
    this.#onChange = onChange;
  }

  /** Reads it, and from then on whenever it changes: a key that was taken out is out within 1 s (SPEC 5). */
  async start(): Promise<void> {
    await this.refresh();
    this.#followed = followFile(this.#path, () => this.refresh());
  }

  /**
   * Reads the file when it changed since; a file that is gone allows nobody. One reading at a time: of two side by side the
   * older could be the last to be taken.
   */
  async refresh(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#read());
    await this.#reading;
  }

  async #read(): Promise<void> {
    let version = "none";
    try {
      const { mtimeMs, size, ino } = await stat(this.#path);
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
    this.#followed?.[Symbol.dispose]();
  }
}
