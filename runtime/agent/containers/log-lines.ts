import { z } from "zod";
import { Timestamp } from "../../domain/index.js";

/** One line of a container's output, with Docker's own time, to the nanosecond. */
export interface LogLine {
  timestamp: string;
  text: string;
}

/** A line as long as that is no message. */
const MAX_TEXT = 4096;
/** What one answer may hold; the newest lines win. */
export const MAX_LOG_BYTES = 2 * 1024 * 1024;

const Stamp = z.object({ timestamp: Timestamp });

/**
 * Lines of `docker logs --timestamps`, oldest first: both outputs, merged by time, without control characters, so that no
 * terminal that shows them obeys a session. Pure.
 */
export function parseLogLines(text: string, after: string | null): LogLine[] {
  const lines: LogLine[] = [];
  for (const line of text.split("\n")) {
    const space = line.indexOf(" ");
    const stamp = Stamp.safeParse({ timestamp: space < 0 ? line : line.slice(0, space) });
    if (!stamp.success) continue;
    const { timestamp } = stamp.data;
    if (after !== null && nanoseconds(timestamp) <= nanoseconds(after)) continue;
    lines.push({ timestamp, text: space < 0 ? "" : plain(line.slice(space + 1)).slice(0, MAX_TEXT) });
  }
  lines.sort((a, b) => Number(nanoseconds(a.timestamp) - nanoseconds(b.timestamp)));
  let bytes = 0;
  const first = lines.findLastIndex((line) => (bytes += line.text.length + line.timestamp.length) > MAX_LOG_BYTES);
  return lines.slice(first + 1);
}

/** Nanoseconds since 1970. */
export function nanoseconds(timestamp: string): bigint {
  const fraction = /\.(\d+)/.exec(timestamp)?.[1] ?? "";
  const seconds = BigInt(Math.floor(Date.parse(timestamp.replace(/\.\d+/, "")) / 1000));
  return seconds * 1_000_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9));
}

/** Without escape sequences (ECMA-48 CSI and OSC, and two-character ones) and other control characters. */
function plain(text: string): string {
  return text
    .replaceAll(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -~])/g, "")
    .replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "");
}
