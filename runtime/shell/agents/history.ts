import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import {
  ConvocateError,
  FeedLine,
  toConvocateError,
  type AgentStatus,
  type HistoryRequest,
  type KeptEvent,
  type StoreState,
} from "../../domain/index.js";
import { readLines, writeLine } from "../../protocol/ndjson.js";

const PAGE = 1000;
const RETRY_MS = 1000;
const MAX_LINE_BYTES = 16 * 1024 * 1024;

export type HistoryItem =
  | ({ kind: "event" } & KeptEvent)
  | { kind: "agents"; agents: readonly AgentStatus[] }
  | { kind: "store"; store: StoreState };

export interface HistoryOptions {
  /** convocate-status's socket. */
  path: string;
  /** All since then, by the time they came in; the newest `limit` when left out. */
  since?: Date;
  limit: number;
  /** Go on with what comes, over restarts of convocate-status. */
  follow?: boolean;
  signal: AbortSignal;
}

/**
 * Events that convocate-status has kept, oldest first, and then those that come. `agents` comes first, with their names.
 * @throws ConvocateError UNREACHABLE when convocate-status does not answer, or goes away while it is not followed.
 */
export async function* readHistory(options: HistoryOptions): AsyncGenerator<HistoryItem> {
  const { signal, follow = false } = options;
  const stopped = (): boolean => signal.aborted;
  const begun = new Date();
  let answered = false;
  let from: Pick<HistoryRequest, "since" | "after"> = options.since ? { since: options.since.toISOString() } : {};
  while (!stopped()) {
    try {
      for await (const item of readOnce(options, from)) {
        answered = true;
        if (item.kind === "event") from = { after: item.cursor };
        yield item;
      }
      return;
    } catch (thrown) {
      if (stopped()) return;
      if (!follow || !answered) throw thrown;
      if (from.since === undefined && from.after === undefined) from = { since: begun.toISOString() };
    }
    await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** One connection's worth; returns when all was said and nothing is followed, throws when the connection ends before. */
async function* readOnce(
  { path, limit, follow, signal }: HistoryOptions,
  from: Pick<HistoryRequest, "since" | "after">,
): AsyncGenerator<HistoryItem> {
  const socket = connect(path);
  try {
    await once(socket, "connect", { signal });
    const newest = from.since === undefined && from.after === undefined;
    const ask = (request: Pick<HistoryRequest, "since" | "after">): Promise<void> =>
      writeLine(socket, { kind: "history", ...request, limit: newest ? Math.min(limit, PAGE) : PAGE });
    await ask(from);
    // What is told live before the last page is in that page, too; what comes after it is not.
    let live = false;
    for await (const read of readLines(socket, { maxBytes: MAX_LINE_BYTES, signal })) {
      const line = "line" in read ? parse(read.line) : null;
      if (!line) continue;
      if (line.kind === "snapshot") {
        yield { kind: "agents", agents: line.agents };
        if (line.store) yield { kind: "store", store: line.store };
      } else if (line.kind === "agent") yield { kind: "agents", agents: [line.agent] };
      else if (line.kind === "store") yield line;
      else if (line.kind === "error") throw new ConvocateError("COMMAND_FAILED", `convocate-status: ${line.error}`);
      else if (line.kind === "event") {
        if (live) yield { kind: "event", event: line.event, cursor: line.cursor ?? 0 };
      } else if (line.kind === "history") {
        for (const kept of line.events) yield { kind: "event", ...kept };
        const last = line.events.at(-1)?.cursor;
        if (line.more && last !== undefined) await ask({ ...from, after: last });
        else if (follow) live = true;
        else return;
      }
    }
    throw new ConvocateError(
      "UNREACHABLE",
      `convocate-status closed ${path}: see \`systemctl status convocate-status\``,
    );
  } catch (thrown) {
    const code = String((thrown as NodeJS.ErrnoException).code);
    if (["ENOENT", "ECONNREFUSED", "EACCES"].includes(code))
      throw new ConvocateError(
        "UNREACHABLE",
        `convocate-status does not answer on ${path} (${code}): see \`systemctl status convocate-status\` on this host`,
        { cause: thrown },
      );
    throw toConvocateError(thrown, "UNREACHABLE");
  } finally {
    socket.destroy();
  }
}

/** Null for kinds that only a newer convocate-status knows. */
function parse(text: string): FeedLine | null {
  try {
    return FeedLine.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
