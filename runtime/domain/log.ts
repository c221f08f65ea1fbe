import { z } from "zod";
import { Timestamp } from "./session.js";

/** One line of a session's log, by the clock of the host it ran on, to the microsecond. */
export const LogLine = z.object({ timestamp: Timestamp, text: z.string() });
export type LogLine = z.infer<typeof LogLine>;

/** So much of what a person or a tool said goes into a log (SPEC 9). */
const SHOWN = 200;

/**
 * What a session's log says, one as JSON in each line: something that happened to the session (`container.started`,
 * `session.waiting`: the types of events) or a hook of its Claude CLI (`PreToolUse`).
 */
export const LogEntry = z.object({
  event: z.string(),
  tool: z.string().optional(),
  text: z.string().optional(),
});
export type LogEntry = z.infer<typeof LogEntry>;

/** An event of a session as a line of its log. Pure. */
export function logEvent(event: string, data: Readonly<Record<string, unknown>>, atMs: number): string {
  const said = Object.entries(data)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
  return JSON.stringify({ event, at_ms: atMs, text: said.slice(0, SHOWN) });
}

/** What a line of a session's log says; null for one that is something else, as a container's own error. */
export function parseLogEntry(text: string): LogEntry | null {
  if (!text.startsWith("{")) return null;
  try {
    return LogEntry.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

/** A line of a session's log as people read it: `PreToolUse Bash touch made`. */
export function readableLog(text: string): string {
  const entry = parseLogEntry(text);
  return entry === null ? text : [entry.event, entry.tool, entry.text].filter(Boolean).join(" ");
}
