import { Command, InvalidArgumentError } from "commander";
import { setTimeout as sleep } from "node:timers/promises";
import { ConvocateError, SessionId, parseLogEntry, readableLog } from "../../../runtime/domain/index.js";
import type { Cluster, SessionLogLine, SessionView } from "../../../runtime/shell/index.js";
import { printJsonLine } from "../../output/json.js";
import { parseSince } from "../shell/events.js";
import type { Client } from "./client.js";
import { LIST_TIMEOUT_MS, resolveSession } from "./resolve.js";

const FOLLOW_EVERY_MS = 1000;
const NEWEST = 200;
/** Of one question of --follow; a session that says more within a second is caught up with by the next ones. */
const FOLLOW_LINES = 5000;
const MOST = 100_000;

interface Options {
  lines?: number;
  since?: Date;
  follow?: true;
  json?: true;
}

/** `convocate logs`: what happened to a session and in it, oldest first. */
export function logs(client: Client): Command {
  return new Command("logs")
    .description("show a session's log: what happened to it, and what its Claude did")
    .argument("<session>", "the beginning of its name or id; the whole id of one that was deleted")
    .option("-n, --lines <number>", `so many of the last lines, ${NEWEST} unless told`, lineCount)
    .option("--since <when>", "all since then: as 90s, 10m, 2h, 3d ago, or a time as 2026-11-21T08:00:00Z", (text) =>
      parseSince(text),
    )
    .option("-f, --follow", "go on with new ones; Ctrl-C ends it")
    .option("--json", "print JSON, one line each")
    .addHelpText(
      "after",
      "\nLogs are kept on this host for 14 days; with -n or --since all of them are looked through.",
    )
    .action(async (wanted: string, options: Options) => {
      await using cluster = await client.open(options.follow ? "after-list" : "when-needed");
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
      const { id, away } = find(cluster, wanted);
      if (away) client.out.note(`agent ${away} did not answer in time: this may be only what it had forwarded`);
      await show(client, cluster, id, options);
    });
}

async function show(client: Client, cluster: Cluster, id: SessionId, options: Options): Promise<void> {
  const { signal } = client;
  const stopped = (): boolean => signal.aborted;
  let after = options.since?.toISOString();
  let on: string | undefined;
  const print = (lines: readonly SessionLogLine[]): void => {
    // Where it is now is said by everything else; where it was before is worth a word.
    on ??= lines.at(-1)?.agent_id;
    for (const line of lines) {
      const agent = cluster.agents().find((one) => one.id === line.agent_id)?.name ?? line.agent_id;
      printLog(client, line, line.agent_id === on ? null : agent, options);
      after = line.timestamp;
    }
  };
  const whole = options.lines !== undefined || options.since !== undefined;
  const lines = options.lines ?? (options.since ? MOST : NEWEST);
  print(await cluster.logs(id, { lines, after, whole, signal }));
  while (options.follow && !stopped()) {
    await sleep(FOLLOW_EVERY_MS, undefined, { signal }).catch(() => undefined);
    try {
      if (!stopped()) print(await cluster.logs(id, { lines: FOLLOW_LINES, after, signal }));
    } catch (thrown) {
      if (stopped()) return;
      // An agent that restarts is back in a moment, and has kept what was said.
      if (!(thrown instanceof ConvocateError) || thrown.exitCode !== 3) throw thrown;
    }
  }
}

function printLog(client: Client, line: SessionLogLine, elsewhere: string | null, { json }: Options): void {
  const { timestamp, text, agent_id } = line;
  if (json) {
    printJsonLine(client.out, "log", { timestamp, text, agent_id, entry: parseLogEntry(text) });
    return;
  }
  const agent = elsewhere === null ? "" : ` (on ${elsewhere})`;
  client.out.line(`${timestamp.slice(0, 23)}Z${agent} ${readableLog(text)}`);
}

/** A session of the list, or, by its whole id, one that is there no more. */
function find(cluster: Cluster, wanted: string): { id: SessionId; away: string | null } {
  let view: SessionView;
  try {
    view = resolveSession(cluster, wanted);
  } catch (thrown) {
    const id = SessionId.safeParse(wanted.toLowerCase());
    if (id.success && thrown instanceof ConvocateError && thrown.code === "SESSION_NOT_FOUND")
      return { id: id.data, away: null };
    throw thrown;
  }
  return { id: view.session.id, away: view.reachable ? null : view.agentName };
}

function lineCount(text: string): number {
  const count = Number(text);
  if (!/^[0-9]+$/.test(text) || count < 1 || count > MOST) throw new InvalidArgumentError(`1 to ${MOST}.`);
  return count;
}
