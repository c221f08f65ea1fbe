import type { Finding } from "../../infra/doctor/index.js";
import { jsonText } from "./print.js";
import { namingStack } from "./stack.js";
import { clean } from "./text.js";

/** The walk for people: a line each, and below what is not well the command that mends it. */
export function findingsText(findings: readonly Finding[]): string {
  const width = Math.max(0, ...findings.map(({ host }) => host.length));
  const lines = findings.flatMap(({ host, check, level, says, mend }) => [
    `${level.padEnd(4)}  ${host.padEnd(width)}  ${clean(check)}: ${clean(says)}`,
    ...(mend === undefined ? [] : [`      ${" ".repeat(width)}  mend: ${clean(namingStack(mend))}`]),
  ]);
  const bad = (level: Finding["level"]): number => findings.filter((finding) => finding.level === level).length;
  return `${[...lines, `${findings.length} looked at, ${bad("warn")} to heed, ${bad("fail")} to mend`].join("\n")}\n`;
}

/** The walk for programs. */
export function findingsJson(stack: string, findings: readonly Finding[]): string {
  const named = findings.map(({ mend, ...rest }) => ({
    ...rest,
    ...(mend !== undefined && { mend: namingStack(mend) }),
  }));
  return `${jsonText({ stack, findings: named })}\n`;
}
