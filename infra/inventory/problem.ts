import { ConvocateError } from "../../runtime/domain/index.js";

/** One thing wrong with an inventory: where, and what to do about it. Lines and columns count from 1. */
export interface Problem {
  line: number;
  column: number;
  message: string;
}

/** All of an inventory's problems as one error, a line each, in the file's order: `file:line:column: message`. */
export function badInventory(file: string, problems: readonly Problem[]): ConvocateError {
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const lines = sorted.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`);
  const count = lines.length === 1 ? "1 problem" : `${lines.length} problems`;
  return new ConvocateError(
    "BAD_INVENTORY",
    [`the inventory has ${count}; no host was touched`, ...new Set(lines)].join("\n"),
  );
}

/** `agents[1].port`, as people write it. */
export function pathText(path: readonly PropertyKey[]): string {
  return path.map((key, i) => (typeof key === "number" ? `[${key}]` : `${i === 0 ? "" : "."}${String(key)}`)).join("");
}
