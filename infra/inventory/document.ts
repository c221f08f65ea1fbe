import { isMap, isNode, LineCounter, parseDocument, type Document, type Node } from "yaml";
import type { z } from "zod";
import { knownKeys, nearest } from "./nearest.js";
import { pathText, type Problem } from "./problem.js";

/** A YAML text whose every value knows where it stands. */
export class InventoryDocument {
  readonly yaml: Document;
  readonly #lines = new LineCounter();

  constructor(text: string) {
    this.yaml = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
  }

  /** What the YAML parser itself objects to: broken syntax, keys given twice. */
  syntaxProblems(): Problem[] {
    const problems = this.yaml.errors.map((error) => ({
      ...this.#position(error.pos[0]),
      message: `${error.message.split("\n")[0] ?? "broken YAML"}: mend the YAML here`,
    }));
    if (problems.length > 0) return problems;
    try {
      this.yaml.toJS();
      return [];
    } catch (error) {
      // Aliases that multiply, or stand for what they are in.
      const why = error instanceof Error ? error.message : String(error);
      return [{ line: 1, column: 1, message: `${why}: write out what the YAML's aliases (*) stand for` }];
    }
  }

  /** The problem of what stands at `path`; of the nearest thing around it when nothing does. */
  problem(path: readonly PropertyKey[], message: string): Problem {
    for (let length = path.length; length >= 0; length--) {
      const at = this.#offset(path.slice(0, length));
      if (at !== undefined) return { ...this.#position(at), message };
    }
    return { line: 1, column: 1, message };
  }

  /** What a schema objects to, in words for whoever wrote the file. */
  schemaProblems(schema: z.ZodType, issues: readonly z.core.$ZodIssue[]): Problem[] {
    return issues.flatMap((issue) => {
      if (issue.code === "unrecognized_keys") return issue.keys.map((key) => this.#unknownKey(schema, issue.path, key));
      if (issue.code === "invalid_key")
        return [
          this.keyProblem(issue.path, `${pathText(issue.path)}: the key ${issue.issues[0]?.message ?? "is wrong"}`),
        ];
      const value: unknown = this.yaml.getIn(issue.path);
      const where = pathText(issue.path);
      if (value === undefined && issue.path.length > 0)
        return [this.problem(issue.path, `${where} is missing: add it`)];
      return [this.problem(issue.path, `${where || "the inventory"} is ${shown(value)}: ${expectation(issue)}`)];
    });
  }

  #unknownKey(schema: z.ZodType, path: readonly PropertyKey[], key: string): Problem {
    const known = knownKeys(schema, path);
    const meant = nearest(key, known);
    const advice = meant ? `did you mean ${meant}?` : `remove it; known here: ${known.join(", ")}`;
    return this.keyProblem([...path, key], `unknown key ${pathText([...path, key])}: ${advice}`);
  }

  /** The problem of a key itself, not of its value. */
  keyProblem(path: readonly PropertyKey[], message: string): Problem {
    const parent = path.length > 1 ? this.yaml.getIn(path.slice(0, -1), true) : this.yaml.contents;
    const key = path.at(-1);
    const pair = isMap(parent) ? parent.items.find((item) => isNode(item.key) && String(item.key) === key) : undefined;
    const at = isNode(pair?.key) ? pair.key.range?.[0] : undefined;
    return at === undefined ? this.problem(path, message) : { ...this.#position(at), message };
  }

  #offset(path: readonly PropertyKey[]): number | undefined {
    const node = path.length === 0 ? this.yaml.contents : (this.yaml.getIn(path, true) as Node | undefined);
    return isNode(node) ? node.range?.[0] : undefined;
  }

  #position(offset: number): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "empty";
  const json = typeof value === "object" ? "" : JSON.stringify(value);
  if (json === "") return isMap(value) ? "a map" : "a list";
  return json.length > 60 ? `${json.slice(0, 57)}…` : json;
}

/** The schema's own words where it has some ("must be …"), else words made from the kind of issue. */
function expectation(issue: z.core.$ZodIssue): string {
  if (issue.message.startsWith("must ")) return issue.message;
  switch (issue.code) {
    case "invalid_type":
      return `must be ${article(issue.expected)}`;
    case "too_small":
      return `must be at least ${issue.minimum}${issue.origin === "string" ? " characters" : ""}`;
    case "too_big":
      return `must be at most ${issue.maximum}${issue.origin === "string" ? " characters" : ""}`;
    case "invalid_format":
      return issue.format === "starts_with" ? "must be an absolute path" : "has characters that are not allowed here";
    default:
      return issue.message;
  }
}

function article(type: string): string {
  const names: Record<string, string> = {
    object: "map",
    record: "map",
    array: "list",
    string: "text",
    boolean: "true or false",
  };
  const name = names[type] ?? type;
  if (name === "text" || name === "true or false") return name === "text" ? "a text (put it in quotes)" : name;
  return `${/^[aeiou]/.test(name) ? "an" : "a"} ${name === "int" ? "whole number" : name}`.replace(
    "an whole",
    "a whole",
  );
}
