import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { DnsName, FORMER_SESSION_FILE, PublishedPort, SessionId, SessionName, Timestamp } from "../../domain/index.js";
import { codeOf } from "../../protocol/files.js";
import type { Owner } from "../sessions/homes.js";

/** A former `session.json` has seven short fields. */
const MAX_BYTES = 64 * 1024;

/** Earlier releases left out what was empty. Go's times have nine digits after the point; ours have three. */
const Time = Timestamp.transform((text) => new Date(text).toISOString());
const Former = z.object({
  uuid: SessionId,
  name: SessionName,
  created_at: Time,
  last_accessed: Time.optional(),
  port: PublishedPort.default(0),
  protocol: z
    .enum(["tcp", "udp", ""])
    .default("tcp")
    .transform((protocol) => protocol || "tcp"),
  dns_name: z
    .union([z.literal("").transform(() => null), DnsName])
    .nullable()
    .default(null),
});
export type FormerSession = z.infer<typeof Former>;

export type FormerRead = { ok: true; former: FormerSession } | { ok: false; why: string };

/**
 * A session as an earlier release left it: `<home>/<uuid>` with its `session.json`. Everything in there was written by the
 * session itself, so no link is followed and nothing is waited for. `close` of a home that is taken over closes it to others.
 */
export async function readFormer(home: string, name: string, owner: Owner, close: boolean): Promise<FormerRead> {
  const id = SessionId.safeParse(name);
  if (!id.success) return no("its name is no canonical lower-case UUID: rename it to one");
  try {
    await using folder = await open(
      join(home, id.data),
      constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW,
    );
    const { uid, gid, mode } = await folder.stat();
    if (uid !== owner.uid) {
      return no(
        `it belongs to uid ${uid}, not to the service user (${owner.uid}): give it over with ` +
          `\`chown -R ${owner.uid}:${owner.gid} ${join(home, id.data)}\` if it is a session of this host`,
      );
    }
    const text = await readText(folder);
    if (!text.ok) return text;
    const parsed = Former.safeParse(parseJson(text.text));
    if (!parsed.success) return no(problemOf(parsed.error));
    if (parsed.data.uuid !== id.data)
      return no(`its ${FORMER_SESSION_FILE} is of another session, ${parsed.data.uuid}`);
    if (close && (gid !== owner.gid || (mode & 0o777) !== 0o700)) {
      await folder.chown(owner.uid, owner.gid);
      await folder.chmod(0o700);
    }
    return { ok: true, former: parsed.data };
  } catch (error) {
    // O_NOFOLLOW answers ENOTDIR for a link when O_DIRECTORY is there, too.
    if (codeOf(error) === "ENOTDIR" || codeOf(error) === "ELOOP")
      return no("it is no directory of its own: a session's home must not be a link");
    return no(error instanceof Error ? error.message : String(error));
  }
}

/** Through the opened folder, so that what was checked is what is read. */
async function readText(folder: FileHandle): Promise<{ ok: true; text: string } | { ok: false; why: string }> {
  const path = `/proc/self/fd/${folder.fd}/${FORMER_SESSION_FILE}`;
  try {
    // NONBLOCK: a pipe in its place has no writer.
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (!stats.isFile()) return no(`its ${FORMER_SESSION_FILE} is no file`);
    if (stats.size > MAX_BYTES) return no(`its ${FORMER_SESSION_FILE} is over ${MAX_BYTES} bytes`);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, 0);
    return { ok: true, text: buffer.toString("utf8", 0, bytesRead) };
  } catch (error) {
    if (codeOf(error) === "ENOENT") return no(`it has no ${FORMER_SESSION_FILE}`);
    if (codeOf(error) === "ELOOP") return no(`its ${FORMER_SESSION_FILE} is a link`);
    throw error;
  }
}

/** Undefined for what is no JSON, which no schema takes. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function problemOf(error: z.ZodError): string {
  const issue = error.issues[0];
  if (!issue || issue.path.length === 0) return `its ${FORMER_SESSION_FILE} is no JSON object`;
  return `${String(issue.path[0])} in its ${FORMER_SESSION_FILE}: ${issue.message}`;
}

const no = (why: string): { ok: false; why: string } => ({ ok: false, why });
