import {
  SHELL_PORT,
  SUBSYSTEM,
  shellPaths,
  type AgentEvent,
  type AgentId,
  type AgentList,
  type AgentStatus,
  type FeedLine,
  type Session,
  FeedRequest,
} from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { serveSsh } from "../../protocol/ssh/server.js";
import type { ServedChannel } from "../../protocol/ssh/types.js";
import { Feed } from "./feed.js";
import { Intake } from "./intake.js";
import { Presence } from "./presence.js";
import { agentOfPeer, receive } from "./receive.js";
import { Roster } from "./roster.js";
import { StatusStore } from "./store.js";

/** How often silence is looked for; SPEC 5.3 counts it in tens of seconds. */
const EXPIRE_MS = 1000;

export interface StatusOptions {
  paths?: Partial<Record<"hostKey" | "authorizedKeys" | "statusDb" | "statusSocket", string>>;
  /** tcp port; default 223. */
  port?: number;
  /** Address to listen on; all when left out. */
  address?: string;
  /** Group that may read the feed; null leaves the process's own. */
  gid: number | null;
  log: Log;
  /** Asks the agents for their lists: those that answer in a moment. Nobody is asked when left out. */
  list?: () => AsyncIterable<AgentList>;
  /** Called for each new event, once it is kept. */
  onEvent?: (event: AgentEvent) => void;
  /** Bounds that tests make small. */
  historyEvents?: number;
  feedBufferBytes?: number;
}

export interface StatusService extends AsyncDisposable {
  readonly port: number;
  /** Keeps what an agent listed, for who asks while it cannot be reached. */
  listed(id: AgentId, sessions: readonly Session[]): void;
}

/**
 * convocate-status: takes the agents' events on tcp/223, keeps them, and serves what it knows on the status socket. Runs
 * until disposed. @throws ConvocateError IO_ERROR when it cannot listen, REFUSED when another one runs.
 */
export async function serveStatus(options: StatusOptions): Promise<StatusService> {
  const paths = { ...shellPaths, ...options.paths };
  const { log } = options;
  await using started = new AsyncDisposableStack();

  const store = started.use(
    new StatusStore(paths.statusDb, {
      log,
      ...(options.historyEvents ? { historyEvents: options.historyEvents } : {}),
    }),
  );
  const presence = new Presence(lastKnown(store, log));

  const feed = started.use(
    await Feed.listen({
      path: paths.statusSocket,
      gid: options.gid,
      snapshot: () => ({ kind: "snapshot", agents: presence.all(), store: intake.storeState }),
      answer: (line) => answerRequest(line, store, options.list),
      log,
      ...(options.feedBufferBytes === undefined ? {} : { bufferBytes: options.feedBufferBytes }),
    }),
  );
  const publish = (line: FeedLine): void => feed.publish(line);
  const intake: Intake = started.use(
    new Intake({ store, presence, publish, log, ...(options.onEvent ? { onKept: options.onEvent } : {}) }),
  );

  const roster = started.use(new Roster(paths.authorizedKeys, log));
  await roster.start((ids) => {
    const { added, forgotten } = presence.setRoster(ids);
    intake.update(added);
    if (forgotten.length === 0) return;
    for (const id of forgotten) intake.forget(id);
    log.info({ agents: forgotten }, "forgot agents that are not authorized any more");
    // The feed has no line for "gone": a new snapshot says it.
    publish({ kind: "snapshot", agents: presence.all(), store: intake.storeState });
  });

  const expiry = setInterval(() => intake.update(presence.expire()), EXPIRE_MS);
  started.defer(() => clearInterval(expiry));

  // Channels end a moment after the server closed their connections, and store their last events then.
  const open = new Set<Promise<void>>();
  started.defer(async () => {
    await Promise.allSettled(open);
  });
  const serveAgent = async (channel: ServedChannel): Promise<void> => {
    const agentId = agentOfPeer(channel.peer.comment);
    if (!agentId) {
      log.warn({ fingerprint: channel.peer.fingerprint }, "a key without an agent id as its comment: refused");
      channel.exit(1);
      return;
    }
    log.info({ agent_id: agentId, address: channel.peer.address }, "agent connected");
    intake.update([presence.opened(agentId)]);
    try {
      await receive(channel, agentId, intake, log);
    } finally {
      const status = presence.closed(agentId);
      if (status) intake.update([status]);
      log.info({ agent_id: agentId }, "agent's channel closed");
      channel.exit(0);
    }
  };
  const server = await serveSsh({
    ...(options.address === undefined ? {} : { address: options.address }),
    port: options.port ?? SHELL_PORT,
    hostKeyPath: paths.hostKey,
    authorizedKeysPath: paths.authorizedKeys,
    subsystems: {
      [SUBSYSTEM.status]: async (channel) => {
        const serving = serveAgent(channel).finally(() => open.delete(serving));
        open.add(serving);
        await serving;
      },
    },
    log,
  });
  started.use(server);
  log.info({ port: server.port, socket: paths.statusSocket }, "convocate-status serves");

  const running = started.move();
  const listed = (id: AgentId, sessions: readonly Session[]): void => {
    try {
      store.transaction(() => store.saveSessions(id, new Date().toISOString(), sessions));
    } catch (error) {
      // The next list is kept, or the one after it: a full disk is told where events are stored.
      log.warn({ agent_id: id, error: String(error) }, "cannot keep what the agent listed");
    }
  };
  return { port: server.port, listed, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** What the store knows of the agents; nothing when it cannot be read now, and then they tell it anew. */
function lastKnown(store: StatusStore, log: Log): AgentStatus[] {
  try {
    return store.agents();
  } catch (error) {
    log.error({ error: String(error) }, "cannot read what was known of the agents");
    return [];
  }
}

/** Answers one line of a reader of the feed. */
async function* answerRequest(line: string, store: StatusStore, list: StatusOptions["list"]): AsyncGenerator<FeedLine> {
  try {
    const request = FeedRequest.safeParse(JSON.parse(line)).data;
    switch (request?.kind) {
      case "history":
        yield { kind: "history", ...store.history(request) };
        return;
      case "sessions": {
        const { agent_id } = request;
        const known = store.sessionsOf(agent_id);
        yield { kind: "sessions", agent_id, listed_at: known?.listedAt ?? null, sessions: known?.sessions ?? [] };
        return;
      }
      case "list":
        if (list) yield* list();
        yield { kind: "listed" };
        return;
      default:
        yield { kind: "error", error: "not a request that this convocate-status knows" };
    }
  } catch (error) {
    yield {
      kind: "error",
      error: `cannot read what is kept: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}
