import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { isMap, isSeq, type Document, type YAMLMap } from "yaml";
import { ConvocateError } from "../../runtime/domain/index.js";
import { InventoryDocument } from "./document.js";
import { badInventory } from "./problem.js";

/** What an edit may say of a host; what is left out stays as it is. */
export interface HostEdit {
  name: string;
  address: string;
  user?: string | undefined;
  port?: number | undefined;
  /** As it should stand in the file: absolute, or relative to it. */
  identityFile?: string | undefined;
  /** OpenSSH public key line. */
  hostKey?: string | undefined;
}

export type Role = "shell" | "agent";

/** A host as the file names it, before anything is judged: edits must work on inventories that are not valid yet. */
export interface RawEntry {
  role: Role;
  name: string;
  address: string;
  user?: string;
  port?: number;
  hostKey?: string;
}

/** How a host is reached, of what may stand in its entry. */
const LOGIN_KEYS = ["user", "port", "identityFile", "sudoPasswordFile", "jump", "clusterAddress", "hostKey"];

/** An inventory's text with changes made to it; comments, order and blank lines stay. */
export class InventoryEdit {
  readonly #document: Document;
  readonly #before: string;

  constructor(
    text: string,
    private readonly path: string,
  ) {
    const document = new InventoryDocument(text);
    const problems = document.syntaxProblems();
    if (problems.length > 0) throw badInventory(path, problems);
    this.#document = document.yaml;
    this.#before = text;
  }

  /** The file at `path`; where there is none, `otherwise` as the text to begin with, or BAD_INVENTORY without that. */
  static open(path: string, otherwise?: string): InventoryEdit {
    if (existsSync(path)) return new InventoryEdit(readFileSync(path, "utf8"), path);
    if (otherwise !== undefined) return new InventoryEdit(otherwise, path);
    throw new ConvocateError(
      "BAD_INVENTORY",
      `no inventory at ${path}: begin one with convocate-host init-shell, or install --shell`,
    );
  }

  /** Every entry of a role. */
  all(role: Role): RawEntry[] {
    return this.#entries(role).map((map) => asEntry(role, map));
  }

  /** The entry of this role that has this name or this address. */
  find(role: Role, nameOrAddress: string): RawEntry | undefined {
    return this.all(role).find((entry) => entry.name === nameOrAddress || entry.address === nameOrAddress);
  }

  /** Adds the host, or changes what the edit says of it where one of its name is there. */
  put(role: Role, edit: HostEdit): void {
    let map = this.#entries(role).find((entry) => role === "shell" || entry.get("name") === edit.name);
    if (!map) {
      map = this.#document.createNode({});
      if (role === "shell") this.#document.set("shell", map);
      else {
        if (!isSeq(this.#document.get("agents"))) this.#document.set("agents", this.#document.createNode([]));
        const agents = this.#document.get("agents");
        if (isSeq(agents)) {
          agents.flow = false;
          agents.add(map);
        }
      }
    }
    for (const [key, value] of Object.entries(edit))
      if (value !== undefined && map.get(key) !== value) map.set(key, value);
  }

  /** Adds the shell host's machine as an agent of that name, reached in the same way; one that is there stays as it is. */
  putShellAsAgent(name: string): void {
    const [shell] = this.#entries("shell");
    if (!shell || this.all("agent").some((agent) => agent.name === name)) return;
    this.put("agent", { name, address: asEntry("shell", shell).address });
    const agent = this.#entries("agent").find((entry) => entry.get("name") === name);
    const values = shell.toJSON() as Record<string, unknown>;
    for (const key of LOGIN_KEYS) if (shell.has(key)) agent?.set(key, this.#document.createNode(values[key]));
  }

  /** Asks for another certificate authority than the one there is. */
  nextAuthority(): void {
    const path = ["certificates", "generation"];
    const now = this.#document.getIn(path);
    this.#document.setIn(path, (typeof now === "number" ? now : 1) + 1);
  }

  /** Takes the agent of that name out, with the comments that stand at it. */
  remove(name: string): void {
    const agents = this.#document.get("agents");
    if (!isSeq(agents)) return;
    const at = agents.items.findIndex((item) => isMap(item) && item.get("name") === name);
    if (at >= 0) agents.delete(at);
  }

  /** The text as it is now; the very same one when nothing was changed. */
  toString(): string {
    return this.#document.toString({ lineWidth: 0 });
  }

  /** Writes the file whole, unless nothing changed. Returns whether it did. */
  save(): boolean {
    const text = this.toString();
    // Formatting alone is no change: the file is its owner's.
    if (existsSync(this.path) && text === new InventoryEdit(this.#before, this.path).toString()) return false;
    writeWhole(this.path, text);
    return true;
  }

  /** Writes the text from before the edit again, unless the file was changed since it was saved. Returns whether it did. */
  undo(): boolean {
    if (readFileSync(this.path, "utf8") !== this.toString()) return false;
    writeWhole(this.path, this.#before);
    return true;
  }

  #entries(role: Role): YAMLMap[] {
    const node = this.#document.get(role === "shell" ? "shell" : "agents");
    const items = role === "shell" ? [node] : isSeq(node) ? node.items : [];
    return items.filter((item) => isMap(item));
  }
}

function asEntry(role: Role, map: YAMLMap): RawEntry {
  const text = (key: string): string | undefined => {
    const value = map.get(key);
    return typeof value === "string" ? value : undefined;
  };
  const user = text("user");
  const hostKey = text("hostKey");
  const port = map.get("port");
  return {
    role,
    name: text("name") ?? "",
    address: text("address") ?? "",
    ...(user !== undefined && { user }),
    ...(hostKey !== undefined && { hostKey }),
    ...(typeof port === "number" && { port }),
  };
}

function writeWhole(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.new`;
  try {
    const file = openSync(temporary, "wx", existsSync(path) ? statSync(path).mode & 0o777 : 0o644);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new ConvocateError(
      "IO_ERROR",
      `cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    );
  }
}
