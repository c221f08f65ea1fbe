import { Command } from "commander";
import { setTimeout as sleep } from "node:timers/promises";
import { byText, ConvocateError, shortDuration, statusCharacter, statusDetail } from "../../../runtime/domain/index.js";
import type { Cluster, SessionView } from "../../../runtime/shell/index.js";
import { printJson, printJsonLine } from "../../output/json.js";
import type { Shape } from "../../output/shapes.js";
import { tableLines, type Column } from "../../output/table.js";
import type { Client } from "./client.js";
import { LIST_TIMEOUT_MS, noAgents, sessionJson, unreachable, whyNot } from "./resolve.js";

const COLUMNS: readonly Column[] = [
  { title: " " },
  { title: "NAME", shrinkTo: 8 },
  { title: "AGENT", shrinkTo: 6 },
  { title: "PORT" },
  { title: "DNS", shrinkTo: 6 },
  { title: "DETAIL", shrinkTo: 8 },
  { title: "USED" },
  { title: "ID" },
];
/** Ages in the table move on by themselves; changes show within a tenth of a second. */
const REDRAW_MS = 5000;
const GATHER_MS = 100;

/** `convocate ls`: every session of every agent that answers in time. */
export function ls(client: Client): Command {
  return new Command("ls")
    .description("list the sessions of all agents")
    .option("--watch", "go on, and show every change; Ctrl-C ends it")
    .option("--json", "print JSON; with --watch a line for each change")
    .addHelpText("after", "\nExit code 3 when no agent answered; those that did not are named on stderr.")
    .action(async (options: { watch?: true; json?: true }) => {
      await using cluster = await client.open(options.watch ? "after-list" : "when-needed");
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
      if (options.watch) return await watch(client, cluster, options.json === true);
      const silent = unreachable(cluster);
      if (options.json) printJson(client.out, "ls", listJson(cluster));
      else client.out.lines(await listLines(cluster, client.out.columns));
      const count = cluster.agents().length;
      if (count === 0) client.out.note(noAgents().message);
      else if (silent.length === count) throw new ConvocateError("UNREACHABLE", silent.map(whyNot).join("; "));
      for (const agent of silent) client.out.note(whyNot(agent));
    });
}

/** Until the signal: on a terminal one screen in place, else a list for each change. */
async function watch(client: Client, cluster: Cluster, json: boolean): Promise<void> {
  const { out, signal } = client;
  let changed = Promise.withResolvers<undefined>();
  const off = cluster.subscribe(() => changed.resolve(undefined));
  let last = "";
  try {
    while (!signal.aborted) {
      const list = json ? listJson(cluster) : await listLines(cluster, out.columns);
      const text = JSON.stringify(list);
      if (text !== last) {
        if (json) printJsonLine(out, "ls", list as Shape<"ls">);
        else showLines(client, list as string[], last === "");
        last = text;
      }
      changed = Promise.withResolvers();
      await Promise.race([changed.promise, sleep(REDRAW_MS, undefined, { signal })]).catch(() => undefined);
      await sleep(GATHER_MS, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    off();
  }
}

function showLines({ out }: Client, lines: readonly string[], first: boolean): void {
  if (out.rows === null) {
    out.lines(first ? lines : ["", ...lines]);
    return;
  }
  const room = Math.max(2, out.rows - 1);
  const shown = lines.length > room ? [...lines.slice(0, room - 1), `… and ${lines.length - room + 1} more`] : lines;
  out.screen(shown);
}

function listJson(cluster: Cluster): Shape<"ls"> {
  return {
    sessions: cluster.sessions().sort(byNameThenAgent).map(sessionJson),
    unreachable: unreachable(cluster).map((agent) => ({
      agent_id: agent.id,
      agent: agent.name,
      error: agent.connection.state === "connecting" ? (agent.connection.error ?? null) : null,
    })),
  };
}

function listLines(cluster: Cluster, columns: number | null): Promise<string[]> {
  return tableLines(COLUMNS, cluster.sessions().sort(byNameThenAgent).map(row), columns);
}

function byNameThenAgent(a: SessionView, b: SessionView): number {
  return byText(a.session.name, b.session.name) || byText(a.agentName, b.agentName);
}

/** A session as cells of COLUMNS. */
export function row({ session, agentName, reachable }: SessionView): string[] {
  const nowMs = Date.now();
  return [
    statusCharacter(session.status, reachable),
    session.name,
    agentName,
    session.port === 0 ? "-" : `${session.port}/${session.protocol}`,
    session.dns_name ?? "-",
    detail({ session, agentName, reachable }, nowMs),
    shortDuration(nowMs - Date.parse(session.last_accessed_at)),
    session.id.slice(0, 8),
  ];
}

/** What there is to say beside the state, the warnings that every list shows (SPEC 6.3, 6.4) among it. */
function detail({ session, reachable }: SessionView, nowMs: number): string {
  return [
    // What it did when it was last heard of may be over.
    reachable ? statusDetail(session.status, nowMs) : "no answer",
    session.docker ? "has Docker's socket" : "",
    session.restart_to_apply ? "restart to apply" : "",
  ]
    .filter((part) => part !== "")
    .join(", ");
}
