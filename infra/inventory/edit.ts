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
import { isDeepStrictEqual } from "node:util";
import { isMap, isSeq, parseDocument, type Document, type YAMLMap } from "yaml";
import { ConvocateError } from "../../runtime/domain/index.js";
import { InventoryDocument } from "./document.js";
import { InventoryLines } from "./lines.js";
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

/**
 * An inventory's text with changes made to it; comments, order and blank lines stay. The YAML library would hang a comment to
 * whatever stands above it, so lines are changed where that is simple and comes to the same, and the library is the judge.
 */
export class InventoryEdit {
  #document: Document;
  #text: string;
  readonly #before: string;

  constructor(
    text: string,
    private readonly path: string,
  ) {
    const document = new InventoryDocument(text);
    const problems = document.syntaxProblems();
    if (problems.length > 0) throw badInventory(path, problems);
    this.#document = document.yaml;
    this.#text = text;
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
    this.#put(role, edit.name, { ...edit });
  }

  /** Adds the shell host's machine as an agent of that name, reached in the same way; one that is there stays as it is. */
  putShellAsAgent(name: string): void {
    const [shell] = this.#entries("shell");
    if (!shell || this.all("agent").some((agent) => agent.name === name)) return;
    const values = shell.toJSON() as Record<string, unknown>;
    const login = LOGIN_KEYS.map((key): [string, unknown] => [key, values[key]]);
    this.#put("agent", name, { name, address: values["address"], ...Object.fromEntries(login) });
  }

  /** Asks for another certificate authority than the one there is. */
  nextAuthority(): void {
    const path = ["certificates", "generation"];
    const now = this.#document.getIn(path);
    const next = (typeof now === "number" ? now : 1) + 1;
    this.#change(
      (document) => document.setIn(path, next),
      (lines) => lines.setTop("certificates", "generation", next),
    );
  }

  /** Takes the agent of that name out, with the comments that stand at it. */
  remove(name: string): void {
    const at = this.#indexOf(name);
    if (at < 0) return;
    this.#change(
      (document) => void document.deleteIn(["agents", at]),
      (lines) => lines.removeItem("agents", at),
    );
  }

  /** The text as it is now; the very same one when nothing was changed. */
  toString(): string {
    return this.#text;
  }

  /** Writes the file whole, unless nothing changed. Returns whether it did. */
  save(): boolean {
    if (existsSync(this.path) && this.#text === this.#before) return false;
    writeWhole(this.path, this.#text);
    return true;
  }

  /** Writes the text from before the edit again, unless the file was changed since it was saved. Returns whether it did. */
  undo(): boolean {
    if (readFileSync(this.path, "utf8") !== this.toString()) return false;
    writeWhole(this.path, this.#before);
    return true;
  }

  #put(role: Role, name: string, values: Readonly<Record<string, unknown>>): void {
    const said = Object.entries(values).filter(([, value]) => value !== undefined);
    const at = role === "agent" ? this.#indexOf(name) : -1;
    if (at < 0 && (role === "agent" || this.#entries("shell").length === 0)) {
      const entry = Object.fromEntries(said);
      this.#change(
        (document) => add(document, role, entry),
        (lines) => (role === "shell" ? lines.addTop("shell", entry) : lines.addItem("agents", entry)),
      );
      return;
    }
    const path = role === "shell" ? ["shell"] : ["agents", at];
    for (const [key, value] of said)
      this.#change(
        (document) => {
          if (document.getIn([...path, key]) !== value) document.setIn([...path, key], value);
        },
        (lines) => (role === "shell" ? lines.setTop("shell", key, value) : lines.setInItem("agents", at, key, value)),
      );
  }

  /** Changes the lines as `splice` does, if that comes to what `change` makes of the document; else as the library writes it. */
  #change(change: (document: Document) => void, splice: (lines: InventoryLines) => string | undefined): void {
    const wanted = parseDocument(this.#text);
    change(wanted);
    if (isDeepStrictEqual(wanted.toJS(), this.#document.toJS())) return;
    const spliced = splice(new InventoryLines(this.#text));
    const found = parseDocument(spliced ?? "");
    const same = found.errors.length === 0 && isDeepStrictEqual(found.toJS(), wanted.toJS());
    this.#text = spliced !== undefined && same ? spliced : wanted.toString({ lineWidth: 0 });
    this.#document = parseDocument(this.#text);
  }

  #indexOf(name: string): number {
    const agents = this.#document.get("agents");
    return isSeq(agents) ? agents.items.findIndex((item) => isMap(item) && item.get("name") === name) : -1;
  }

  #entries(role: Role): YAMLMap[] {
    const node = this.#document.get(role === "shell" ? "shell" : "agents");
    const items = role === "shell" ? [node] : isSeq(node) ? node.items : [];
    return items.filter((item) => isMap(item));
  }
}

function add(document: Document, role: Role, entry: object): void {
  if (role === "shell") {
    document.set("shell", document.createNode(entry));
    return;
  }
  if (!isSeq(document.get("agents"))) document.set("agents", document.createNode([]));
  const agents = document.get("agents");
  if (!isSeq(agents)) return;
  agents.flow = false;
  agents.add(document.createNode(entry));
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
