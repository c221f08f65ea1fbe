import { z } from "zod";
import { containerName } from "../containers/spec.js";
import { AGENT_UNIT, type LogLine, type SessionId } from "../../domain/index.js";

/** A line as long as that is no message. */
const MAX_TEXT = 4096;
/** What one answer may hold; the newest lines win. */
export const MAX_LOG_BYTES = 2 * 1024 * 1024;

/** systemd.journal-fields(7); text that is not plain comes as a list of its bytes. Times are microseconds since 1970. */
const Entry = z.object({
  MESSAGE: z.union([z.string(), z.array(z.int().min(0).max(255)).transform((bytes) => Buffer.from(bytes).toString())]),
  _SOURCE_REALTIME_TIMESTAMP: z.string().regex(/^\d+$/).optional(),
  __REALTIME_TIMESTAMP: z.string().regex(/^\d+$/),
});

/**
 * Asks the journal for the newest lines of a session's log, the newest first: of its containers, also those that are gone,
 * and what this agent said of it. `after` as in `parseJournal`. Pure.
 */
export function journalArgv(id: SessionId, lines: number, after: string | null): string[] {
  return [
    "journalctl",
    "--quiet",
    "--no-pager",
    // With --since, --lines alone would give the oldest ones.
    "--reverse",
    `--lines=${lines}`,
    // Whole seconds, at or before; the rest is left out below.
    ...(after === null ? [] : [`--since=@${Math.floor(Date.parse(after) / 1000)}`]),
    "--output=json",
    "--all",
    "--output-fields=MESSAGE,_SOURCE_REALTIME_TIMESTAMP",
    `SYSLOG_IDENTIFIER=${id}`,
    `_SYSTEMD_UNIT=${AGENT_UNIT}`,
    "+",
    `SYSLOG_IDENTIFIER=${id}`,
    `CONTAINER_NAME=${containerName(id)}`,
  ];
}

/**
 * Lines of the above, as they come, made into lines of a log, oldest first: without control characters, so that no terminal
 * that shows them obeys a session, and only what is newer than `after`. Pure.
 */
export function parseJournal(newestFirst: readonly string[], after: string | null): LogLine[] {
  const lines: LogLine[] = [];
  let bytes = 0;
  for (const line of newestFirst) {
    const entry = Entry.safeParse(parseJson(line));
    if (!entry.success) continue;
    // The same choice as rsyslog's imjournal makes, so that a line has one time wherever it is read.
    const timestamp = fromMicroseconds(
      BigInt(entry.data._SOURCE_REALTIME_TIMESTAMP ?? entry.data.__REALTIME_TIMESTAMP),
    );
    if (after !== null && microseconds(timestamp) <= microseconds(after)) continue;
    const text = plain(entry.data.MESSAGE).slice(0, MAX_TEXT);
    bytes += text.length + timestamp.length;
    if (bytes > MAX_LOG_BYTES) break;
    lines.push({ timestamp, text });
  }
  return lines.reverse().sort((a, b) => (a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0));
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

function fromMicroseconds(time: bigint): string {
  const fraction = String(time % 1_000_000n).padStart(6, "0");
  return `${new Date(Number(time / 1_000_000n) * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

/** Microseconds since 1970 of a time of RFC 3339. */
function microseconds(timestamp: string): bigint {
  const fraction = /\.(\d+)/.exec(timestamp)?.[1] ?? "";
  const seconds = BigInt(Math.floor(Date.parse(timestamp.replace(/\.\d+/, "")) / 1000));
  return seconds * 1_000_000n + BigInt(fraction.padEnd(6, "0").slice(0, 6));
}

/** Without escape sequences (ECMA-48 CSI and OSC, and two-character ones) and other control characters. */
function plain(text: string): string {
  return text
    .replaceAll(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -~])/g, "")
    .replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, " ");
}
