import { randomUUID } from "node:crypto";
import { ConvocateError, newSessionId, type Portable, type SessionId } from "../../domain/index.js";
import type { OpResult } from "../../protocol/rpc/ops.js";
import {
  LOOK_MS,
  naming,
  patiently,
  Progress,
  QUESTION_MS,
  send,
  type TransferOptions,
  type TransferPeer,
} from "./transfer.js";

/** A copy on another agent, under a new id, with port 0 and no DNS name. When it rejects there is none. */
export async function cloneTo(
  id: SessionId,
  name: string,
  source: TransferPeer,
  target: TransferPeer,
  options: TransferOptions = {},
): Promise<OpResult<"clone">> {
  const progress = new Progress(options.onProgress);
  const transferId = randomUUID();
  const look = await source.call("export", { phase: "look", id }, LOOK_MS);
  if (look.state !== "here")
    throw new ConvocateError("SESSION_LOCKED", `session ${id} is being moved: clone it when that is done`);
  const now = new Date().toISOString();
  const fresh = { id: newSessionId(), name, port: 0, dns_name: null, created_at: now, last_accessed_at: now };
  const session: Portable = { ...look.session, ...fresh };
  const { bytes, owner } = look;
  await naming(target, () => target.call("import", { phase: "check", session, bytes, owner }, QUESTION_MS));
  const signal = options.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  const named = { id: session.id, transfer_id: transferId };
  try {
    const { sent } = await send(id, session, source, target, { transferId, move: false, progress, signal });
    const there = await patiently(options, () =>
      naming(target, () => target.call("import", { phase: "activate", ...named }, QUESTION_MS)),
    );
    if (there.state !== "here")
      throw new ConvocateError("REFUSED", `agent ${target.name} lost what it was sent: clone again`);
    await target.call("import", { phase: "settle", ...named }, QUESTION_MS).catch(() => undefined);
    return { session: there.session, skipped: sent.skipped, skipped_total: sent.skipped_total };
  } catch (thrown) {
    await target.call("import", { phase: "discard", ...named }, QUESTION_MS).catch(() => undefined);
    throw thrown;
  }
}
