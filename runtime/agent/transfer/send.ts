import type { Duplex } from "node:stream";
import { toConvocateError } from "../../domain/index.js";
import { writeLine } from "../../protocol/ndjson.js";
import { writeTrailer } from "../../protocol/rpc/archive.js";
import type { OpResult } from "../../protocol/rpc/ops.js";
import { skippedFiles, treeDigest, walk } from "../trees/tree.js";
import { sendTree, type SendOptions } from "./flow.js";

/**
 * Answers the `begin` of an export: the line that `hello` makes of what the home takes on disk, then its archive. Of a home
 * that nobody changes the trailer has a SHA-256 of the home itself beside that of the archive; one that is `changing` is
 * sent as far as it stands still.
 */
export async function sendHome(
  stream: Duplex,
  home: string,
  hello: (bytes: number) => OpResult<"export">,
  options: SendOptions,
): Promise<void> {
  const { changing, owner, signal, stallMs } = options;
  const tree = await walk(home, signal);
  const entries = owner ? tree.entries.map((entry) => ({ ...entry, ...owner })) : tree.entries;
  await writeLine(stream, { ok: true, result: hello(tree.bytes) });
  const waits = { signal, ...(stallMs === undefined ? {} : { stallMs }) };
  const over = new AbortController();
  const digesting = changing ? null : treeDigest(home, { ...tree, entries }, AbortSignal.any([signal, over.signal]));
  digesting?.catch(() => undefined);
  try {
    const sum = await sendTree(stream, home, tree, options);
    const trailer = { ok: true as const, ...sum, tree_sha256: await digesting, ...skippedFiles(tree) };
    await writeTrailer(stream, trailer, waits);
  } catch (thrown) {
    const { code, message } = toConvocateError(thrown);
    if (!signal.aborted) await writeTrailer(stream, { ok: false, code, error: message }, waits).catch(() => undefined);
    throw thrown;
  } finally {
    over.abort();
  }
}
