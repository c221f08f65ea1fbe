import { Command } from "commander";
import { ConvocateError, shortDuration, statusCharacter, statusDetail } from "../../../runtime/domain/index.js";
import type { SessionView } from "../../../runtime/shell/index.js";
import { tableLines, type Column } from "../../output/table.js";
import type { Client } from "./client.js";
import { LIST_TIMEOUT_MS, noAgents, unreachable, whyNot } from "./resolve.js";

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

/** `convocate ls`: every session of every agent that answers in time. */
export function ls(client: Client): Command {
  return new Command("ls")
    .description("list the sessions of all agents")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExit code 3 when no agent answered; those that did not are named on stderr.")
    .action(async (options: { json?: true }) => {
      await using cluster = await client.open();
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
      const views = cluster.sessions().sort(byNameThenAgent);
      const silent = unreachable(cluster);
      if (options.json) {
        client.out.json({
          sessions: views.map((view) => ({ ...view.session, agent: view.agentName, reachable: view.reachable })),
          unreachable: silent.map((agent) => ({
            agent_id: agent.id,
            agent: agent.name,
            error: agent.connection.state === "connecting" ? (agent.connection.error ?? null) : null,
          })),
        });
      } else {
        for (const line of tableLines(COLUMNS, views.map(row), client.out.columns)) client.out.line(line);
      }
      const count = cluster.agents().length;
      if (count === 0) client.out.note(noAgents().message);
      else if (silent.length === count) throw new ConvocateError("UNREACHABLE", silent.map(whyNot).join("; "));
      for (const agent of silent) client.out.note(whyNot(agent));
    });
}

function byNameThenAgent(a: SessionView, b: SessionView): number {
  return a.session.name.localeCompare(b.session.name) || a.agentName.localeCompare(b.agentName);
}

function row({ session, agentName, reachable }: SessionView): string[] {
  const nowMs = Date.now();
  return [
    statusCharacter(session.status, reachable),
    session.name,
    agentName,
    session.port === 0 ? "-" : `${session.port}/${session.protocol}`,
    session.dns_name ?? "-",
    statusDetail(session.status, nowMs),
    shortDuration(nowMs - Date.parse(session.last_accessed_at)),
    session.id.slice(0, 8),
  ];
}
