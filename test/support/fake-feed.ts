import type { AgentStatus, FeedLine } from "../../runtime/domain/index.js";
import { silentLog } from "../../runtime/protocol/log.js";
import { Feed } from "../../runtime/shell/status/feed.js";

/** convocate-status's socket, where it knows of these agents and answers as a test says; with an error when it says nothing. */
export async function serveFeed(
  path: string,
  {
    agents = () => [],
    answer = notUnderstood,
  }: { agents?: () => AgentStatus[]; answer?: (line: string) => AsyncIterable<FeedLine> } = {},
): Promise<Feed> {
  return await Feed.listen({
    path,
    gid: null,
    snapshot: () => ({ kind: "snapshot", agents: agents() }),
    answer,
    log: silentLog,
  });
}

async function* notUnderstood(): AsyncGenerator<FeedLine> {
  yield { kind: "error", error: "not a request that this convocate-status knows" };
}
