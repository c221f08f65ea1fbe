import { createHash } from "node:crypto";
import { ConvocateError, NO_AGENT, toConvocateError, type SessionId } from "../../domain/index.js";
import type { OpResult } from "../../protocol/rpc/ops.js";
import type { MoveResult } from "../cluster.js";
import type { BulkChannel } from "./relay.js";
import { naming, patiently, Progress, QUESTION_MS, send, type TransferOptions, type TransferPeer } from "./transfer.js";

/** A session of an earlier release on this host, as what it is sent from (agent/adoption/former-home.ts). */
export interface OrphanSource {
  readonly name: string;
  /** Tells its directory from every other one, so that a migration that was cut off is known again. */
  stamp(): Promise<string>;
  look(): Promise<Extract<OpResult<"export">, { state: "here" }>>;
  open(signal: AbortSignal): Promise<BulkChannel>;
  remove(): Promise<void>;
}

/**
 * Takes an orphan to an agent (SPEC 8.2): the copy of a clone, under its own id, and then the source goes, last of all. Cut
 * off anywhere before that the source is whole. Once more ends it: the transfer's id is the directory's own, so the agent
 * says whether it has come already.
 * @throws ConvocateError the source's or the agent's reason; nothing is left at the agent then.
 */
export async function migrateOrphan(
  id: SessionId,
  source: OrphanSource,
  target: TransferPeer,
  options: TransferOptions & { refuse?: (dnsName: string | null) => Promise<void> } = {},
): Promise<MoveResult> {
  const progress = new Progress(options.onProgress);
  const transferId = uuidOf(await source.stamp());
  const named = { id, transfer_id: transferId };
  // What waits there may be of before the directory changed: it is sent anew. What was activated is a session.
  const there = await naming(target, () => target.call("import", { phase: "discard", ...named }, QUESTION_MS));
  if (there.state === "here") return await finish(there, { skipped: [], skipped_total: 0 });

  const look = await source.look();
  const session = { ...look.session, port: options.port ?? look.session.port };
  await options.refuse?.(session.dns_name);
  const { bytes, owner } = look;
  await naming(target, () => target.call("import", { phase: "check", session, bytes, owner }, QUESTION_MS)).catch(
    (thrown: unknown) => {
      throw portAdvice(thrown);
    },
  );
  if (there.state === "left")
    throw new ConvocateError(
      "REFUSED",
      `session ${id} had come to agent ${target.name} and was deleted or moved on since, so what is here is an old copy: ` +
        `\`convocate delete ${id}\` takes it away`,
    );
  const signal = options.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  let sent;
  try {
    ({ sent } = await send(id, session, asPeer(source), target, { transferId, move: false, progress, signal }));
  } catch (thrown) {
    await target.call("import", { phase: "discard", ...named }, QUESTION_MS).catch(() => undefined);
    throw thrown;
  }
  progress.step("switching");
  const activated = await patiently(options, () =>
    naming(target, () => target.call("import", { phase: "activate", ...named }, QUESTION_MS)),
  );
  if (activated.state !== "here")
    throw new ConvocateError("REFUSED", `agent ${target.name} lost what it was sent: migrate session ${id} again`);
  return await finish(activated, sent);

  async function finish(
    { session }: Extract<OpResult<"import">, { state: "here" }>,
    { skipped, skipped_total }: Pick<MoveResult, "skipped" | "skipped_total">,
  ): Promise<MoveResult> {
    progress.step("cleaning");
    const warnings: string[] = [];
    try {
      await source.remove();
      // Nothing depends on it: the agent only need not remember any more.
      await target.call("import", { phase: "settle", ...named }, QUESTION_MS).catch(() => undefined);
    } catch (thrown) {
      warnings.push(`it is on agent ${target.name} now, but ${toConvocateError(thrown).message}: migrate it once more`);
    }
    return { session, skipped, skipped_total, warnings };
  }
}

function asPeer(source: OrphanSource): TransferPeer {
  return {
    id: NO_AGENT,
    name: source.name,
    call: () => Promise.reject(new ConvocateError("INTERNAL", "an orphan answers on its channel only")),
    open: (signal) => source.open(signal),
  };
}

/** The same for the same stamp, in the form of a UUID (version 8: of the maker's own making, RFC 9562). */
function uuidOf(stamp: string): string {
  const hex = createHash("sha256").update(stamp).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    "-",
  );
}

function portAdvice(thrown: unknown): unknown {
  if (!(thrown instanceof ConvocateError) || thrown.code !== "PORT_TAKEN") return thrown;
  return new ConvocateError("PORT_TAKEN", `${thrown.message} (migrate-session takes --port)`, { cause: thrown });
}
