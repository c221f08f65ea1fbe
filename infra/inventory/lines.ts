import { stringify } from "yaml";

const indentOf = (line: string): number => line.length - line.trimStart().length;
const isBlank = (line: string): boolean => line.trim() === "";
const isComment = (line: string): boolean => line.trimStart().startsWith("#");

/** A key with its value in lines of their own. */
const entryLines = (entry: object): string[] => stringify(entry, { lineWidth: 0 }).trimEnd().split("\n");

/**
 * Changes to an inventory's lines as a person would make them, by their indentation. Each gives the new text, or undefined
 * where the text is not written in blocks. It may be wrong about odd texts: compare what it comes to.
 */
export class InventoryLines {
  readonly #lines: string[];

  constructor(text: string) {
    this.#lines = text.replace(/\n$/, "").split("\n");
  }

  /** Adds a top-level key at the end. */
  addTop(key: string, entry: object): string | undefined {
    if (this.#top(key) >= 0) return undefined;
    return this.#splice(this.#lines.length, 0, entryLines({ [key]: entry }));
  }

  /** Sets a key within a top-level one; both are added where they are not there. */
  setTop(top: string, key: string, value: unknown): string | undefined {
    const at = this.#top(top);
    if (at < 0) return this.addTop(top, { [key]: value });
    return this.#set(at + 1, this.#end(at, 0), indentOf(this.#lines[at + 1] ?? ""), key, value);
  }

  /** Adds an item to a list, behind its last one. */
  addItem(list: string, entry: object): string | undefined {
    const items = this.#items(list);
    const last = items.at(-1);
    if (last === undefined) return this.addTop(list, [entry]);
    const indent = " ".repeat(indentOf(this.#lines[last] ?? ""));
    const lines = entryLines([entry]).map((line) => indent + line);
    const end = this.#end(last, indent.length);
    const apart = items.length > 1 && isBlank(this.#lines[last - 1] ?? "") ? [""] : [];
    return this.#splice(end, 0, [...apart, ...lines]);
  }

  setInItem(list: string, index: number, key: string, value: unknown): string | undefined {
    const at = this.#items(list)[index];
    if (at === undefined) return undefined;
    const line = this.#lines[at] ?? "";
    const dash = indentOf(line);
    return this.#set(at, this.#end(at, dash), dash + 1 + indentOf(line.slice(dash + 1)), key, value);
  }

  /** Takes an item out with the comments right above it, at its own indentation. */
  removeItem(list: string, index: number): string | undefined {
    const items = this.#items(list);
    const at = items[index];
    if (at === undefined || items.length === 1) return this.#removeOnly(list, at);
    const dash = indentOf(this.#lines[at] ?? "");
    const start = this.#withComments(at, dash);
    let end = this.#end(at, dash);
    // Of the blank lines around it one side stays.
    const blankAbove = isBlank(this.#lines[start - 1] ?? "");
    while ((blankAbove || index === 0) && end < this.#lines.length && isBlank(this.#lines[end] ?? "")) end++;
    return this.#splice(start, end - start, []);
  }

  #removeOnly(list: string, at: number | undefined): string | undefined {
    const top = this.#top(list);
    if (at === undefined || this.#lines[top] !== `${list}:`) return undefined;
    const dash = indentOf(this.#lines[at] ?? "");
    const start = this.#withComments(at, dash);
    const kept = this.#lines.slice(top + 1, start);
    return this.#splice(top, this.#end(at, dash) - top, [`${list}: []`, ...kept]);
  }

  #withComments(at: number, indent: number): number {
    let start = at;
    const above = (): string => this.#lines[start - 1] ?? "";
    while (isComment(above()) && indentOf(above()) === indent) start--;
    return start;
  }

  #set(from: number, end: number, indent: number, key: string, value: unknown): string | undefined {
    const said = entryLines({ [key]: value });
    for (let at = from; at < end; at++) {
      const line = this.#lines[at] ?? "";
      if (line.slice(0, indent).trim().replace("-", "") !== "" || !line.slice(indent).startsWith(`${key}:`)) continue;
      // What follows a value on its line is a comment, which stays.
      const comment = / #.*$/.exec(line)?.[0] ?? "";
      const before = line.slice(0, indent);
      return said.length === 1 ? this.#splice(at, 1, [`${before}${said[0] ?? ""}${comment}`]) : undefined;
    }
    let last = end;
    while (last > from + 1 && (isBlank(this.#lines[last - 1] ?? "") || isComment(this.#lines[last - 1] ?? ""))) last--;
    return this.#splice(
      last,
      0,
      said.map((line) => " ".repeat(indent) + line),
    );
  }

  #top(key: string): number {
    return this.#lines.findIndex((line) => line === `${key}:` || line.startsWith(`${key}: `));
  }

  /** The line of each item of a list in blocks. */
  #items(list: string): number[] {
    const top = this.#top(list);
    if (top < 0) return [];
    const rest = this.#lines.slice(top + 1);
    const first = rest.find((line) => !isBlank(line) && !isComment(line)) ?? "";
    const dash = indentOf(first);
    const items: number[] = [];
    for (const [i, line] of rest.entries()) {
      if (isBlank(line) || isComment(line)) continue;
      if (indentOf(line) < dash || (indentOf(line) === dash && !line.trimStart().startsWith("- "))) break;
      if (indentOf(line) === dash) items.push(top + 1 + i);
    }
    return items;
  }

  /** Behind the last line of what begins at a line: those that stand further in than `outer`, less blank ones at the end. */
  #end(at: number, outer: number): number {
    let end = at + 1;
    for (let i = at + 1; i < this.#lines.length; i++) {
      const line = this.#lines[i] ?? "";
      if (isBlank(line)) continue;
      if (indentOf(line) <= outer) break;
      end = i + 1;
    }
    return end;
  }

  #splice(at: number, count: number, lines: readonly string[]): string {
    return `${this.#lines.toSpliced(at, count, ...lines).join("\n")}\n`;
  }
}
