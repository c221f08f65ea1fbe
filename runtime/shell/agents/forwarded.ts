import { open } from "node:fs/promises";
import { join } from "node:path";
import type { AgentId, SessionId } from "../../domain/index.js";

/** Of a file that all of an agent's sessions share, its end is looked through: some hours of a busy agent. */
const TAIL_BYTES = 8 * 1024 * 1024;
/** `TIMESTAMP SESSION-ID text`, as the shell's rsyslog writes what an agent forwarded (infra's rsyslog texts). */
const LINE = /^(\S+) (\S+) (.*)$/;

/**
 * The last lines of a session's log in what its agent has forwarded to this host (SPEC 9), for when the agent itself cannot
 * be asked; oldest first. Null when there is no file of that agent, or none that this user may read.
 */
export async function readForwarded(
  folder: string,
  agent: AgentId,
  session: SessionId,
  { lines = 200, after }: { lines?: number; after?: string } = {},
): Promise<{ timestamp: string; text: string }[] | null> {
  const text = await readTail(join(folder, `${agent}.log`)).catch(() => null);
  if (text === null) return null;
  const afterMs = after === undefined ? -Infinity : Date.parse(after);
  const found = text.split("\n").flatMap((line) => {
    const [, timestamp = "", tag, said = ""] = LINE.exec(line) ?? [];
    const ms = Date.parse(timestamp);
    return tag === session && ms > afterMs ? [{ timestamp: new Date(ms).toISOString(), text: said.trimStart() }] : [];
  });
  return found.slice(-lines);
}

async function readTail(path: string): Promise<string> {
  await using file = await open(path, "r");
  const { size } = await file.stat();
  const start = Math.max(0, size - TAIL_BYTES);
  const buffer = Buffer.alloc(size - start);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
  const text = buffer.toString("utf8", 0, bytesRead);
  // What begins in the middle of a line is none.
  return start === 0 ? text : text.slice(text.indexOf("\n") + 1);
}
