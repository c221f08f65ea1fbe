import type { Log } from "../../runtime/protocol/log.js";
import type { Adoption } from "../../runtime/agent/index.js";
import { statusCharacter, statusDetail, type Session } from "../../runtime/domain/index.js";
import { jsonText } from "./print.js";
import { clean } from "./text.js";

function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Warnings of a command that prints data: one line each on stderr. */
export const warnings: Log = { info: () => undefined, warn: printWarning, error: printWarning };

function printWarning(fields: Record<string, unknown>, message: string): void {
  process.stderr.write(`convocate-agent: ${message} ${JSON.stringify(fields)}\n`);
}

/** What `install` did: a line of counts, and a remark on stderr for each directory it refused; or one JSON object. */
export function printAdoption({ adopted, known, refused }: Adoption, json: boolean): void {
  if (json) {
    printLine(jsonText({ adopted, known, refused }));
    return;
  }
  for (const { name, id } of adopted) printLine(`adopted ${name} (${id})`);
  printLine(`${adopted.length} adopted, ${known} known already, ${refused.length} refused`);
  for (const { directory, reason } of refused)
    process.stderr.write(`convocate-agent: refused ${clean(directory)}: ${clean(reason)}\n`);
}

/** The sessions of one host: a row each, or one JSON object. */
export function printSessions(sessions: readonly Session[], json: boolean, nowMs = Date.now()): void {
  if (json) {
    printLine(JSON.stringify({ sessions }, null, 2));
    return;
  }
  const rows = [
    ["", "NAME", "ID", "PORT", "DETAIL"],
    ...sessions.map((session) => [
      statusCharacter(session.status),
      session.name,
      session.id,
      session.port === 0 ? "-" : `${session.port}/${session.protocol}`,
      statusDetail(session.status, nowMs),
    ]),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(1, ...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows)
    printLine(
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join("  ")
        .trimEnd(),
    );
}
