import { Command } from "commander";
import { ConvocateError, toConvocateError, type Capacity } from "../../../runtime/domain/index.js";
import type { AgentView, Cluster } from "../../../runtime/shell/index.js";
import { printJson } from "../../output/json.js";
import { tableLines, type Column } from "../../output/table.js";
import { bytes } from "../../output/units.js";
import type { Client } from "../session/client.js";
import { LIST_TIMEOUT_MS, noAgents, resolveAgent } from "../session/resolve.js";

const COLUMNS: readonly Column[] = [
  { title: "AGENT", shrinkTo: 8 },
  { title: "SESSIONS" },
  { title: "CPUS" },
  { title: "MEMORY" },
  { title: "DISK" },
  { title: "USED NOW" },
];

type Answer = { agent: AgentView; capacity: Capacity } | { agent: AgentView; error: ConvocateError };

/** `convocate capacity`: what each agent has promised of what it may, and what it uses now. */
export function capacity(client: Client): Command {
  return new Command("capacity")
    .description("show what each agent has promised its sessions, of what it may, and what they use")
    .argument("[agent]", "only this one, by name or id")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExit code 3 when no agent answered; those that did not are named on stderr.")
    .action(async (wanted: string | undefined, options: { json?: true }) => {
      await using cluster = await client.open();
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
      const agents = wanted === undefined ? cluster.agents() : [resolveAgent(cluster.agents(), wanted)];
      const answers = await Promise.all(agents.map((agent) => ask(cluster, agent)));
      if (options.json) printJson(client.out, "capacity", { agents: answers.map(json) });
      else client.out.lines(await tableLines(COLUMNS, answers.map(row), client.out.columns));
      if (agents.length === 0) client.out.note(noAgents().message);
      const errors = answers.flatMap((answer) => ("error" in answer ? [answer.error] : []));
      const [first] = errors;
      if (first && errors.length === agents.length)
        throw new ConvocateError(first.code, errors.map(({ message }) => message).join("; "));
      for (const { message } of errors) client.out.note(message);
      for (const answer of answers)
        if ("capacity" in answer)
          for (const warning of answer.capacity.warnings) client.out.note(`agent ${answer.agent.name}: ${warning}`);
    });
}

async function ask(cluster: Cluster, agent: AgentView): Promise<Answer> {
  try {
    return { agent, capacity: await cluster.capacity(agent.id) };
  } catch (thrown) {
    return { agent, error: toConvocateError(thrown) };
  }
}

function json(answer: Answer) {
  const { id, name } = answer.agent;
  return "error" in answer
    ? { agent_id: id, agent: name, capacity: null, error: answer.error.message }
    : { agent_id: id, agent: name, capacity: answer.capacity, error: null };
}

function row(answer: Answer): string[] {
  const { name } = answer.agent;
  if ("error" in answer) return [name, "?", "?", "?", "?", "?"];
  const { pledged, allowed, used } = answer.capacity;
  const cores = (count: number): string => String(Math.round(count * 10) / 10);
  const now = [
    used.cpus === null ? null : `${cores(used.cpus)} cpus`,
    used.memory_bytes === null ? null : bytes(used.memory_bytes),
  ].filter((part) => part !== null);
  return [
    name,
    String(pledged.sessions),
    `${cores(pledged.cpus)} of ${cores(allowed.cpus)}`,
    `${bytes(pledged.memory_bytes)} of ${bytes(allowed.memory_bytes)}`,
    `${bytes(pledged.disk_bytes)} of ${bytes(allowed.disk_bytes)}`,
    now.length > 0 ? now.join(", ") : "-",
  ];
}
