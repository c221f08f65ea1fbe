import { Command } from "commander";
import { ConvocateError, labelsText, shortDuration } from "../../../runtime/domain/index.js";
import type { AgentView, Cluster } from "../../../runtime/shell/index.js";
import { printJson } from "../../output/json.js";
import type { Shape } from "../../output/shapes.js";
import { tableLines, type Column } from "../../output/table.js";
import type { Client } from "../session/client.js";
import { seconds } from "../session/options.js";
import { LIST_TIMEOUT_MS, noAgents, resolveAgent, whyNot } from "../session/resolve.js";

const COLUMNS: readonly Column[] = [
  { title: "NAME", shrinkTo: 8 },
  { title: "ID" },
  { title: "ADDRESS", shrinkTo: 12 },
  { title: "STATE" },
  { title: "HEARTBEAT" },
  { title: "SESSIONS" },
  { title: "RELEASE", shrinkTo: 8 },
  { title: "IMAGE", shrinkTo: 10 },
];
/** Shown where any agent has some. */
const LABELS: Column = { title: "LABELS", shrinkTo: 10 };
/** convocate-status is asked over a socket of this machine: what it knows is here in a moment, or it is not there. */
const HEARD_TIMEOUT_MS = 500;
const LOOK_EVERY_MS = 100;

/** `convocate agents`: who there is and whether it answers; with --wait, the gate that provisioning ends with. */
export function agents(client: Client): Command {
  return new Command("agents")
    .description("list the agents, and whether each answers")
    .argument("[agent...]", "only these, by name or id")
    .option("--wait <seconds>", "wait so long for each to answer and to be heard by convocate-status", seconds)
    .option("--json", "print JSON")
    .addHelpText("after", "\nExit code 3 when any listed agent does not answer, or, with --wait, is not heard.")
    .action(async (names: string[], options: { wait?: number; json?: true }) => {
      // Whether an agent answers is said by a connection to it, and the others are none of our business.
      await using cluster = await client.open("when-needed");
      const missing =
        options.wait === undefined
          ? await askOnce(cluster, names)
          : await waitFor(cluster, names, options.wait * 1000, client.signal);
      const listed = select(cluster, names);
      if (options.json) printJson(client.out, "agents", { agents: listed.map(json) });
      else {
        const labelled = listed.some(({ labels }) => labelsText(labels ?? {}) !== "");
        const columns = labelled ? [...COLUMNS, LABELS] : COLUMNS;
        client.out.lines(await tableLines(columns, rows(cluster, listed), client.out.columns));
      }
      if (missing.length > 0) throw new ConvocateError("UNREACHABLE", missing.join("; "));
      if (listed.length === 0) client.out.note(noAgents().message);
    });
}

async function askOnce(cluster: Cluster, names: readonly string[]): Promise<string[]> {
  await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS, agents: select(cluster, names).map(({ id }) => id) });
  await heardSoon(cluster, names);
  for (const name of names) resolveAgent(cluster.agents(), name);
  return select(cluster, names)
    .filter((agent) => agent.connection.state !== "connected")
    .map(whyNot);
}

/** Waits a moment for convocate-status's snapshot, which comes beside the agents' own answers. */
export async function heardSoon(cluster: Cluster, names: readonly string[] = []): Promise<void> {
  const deadline = performance.now() + HEARD_TIMEOUT_MS;
  while (performance.now() < deadline && select(cluster, names).some((agent) => !agent.heard)) await pause(20);
}

/** What is still missing when all are ready (nothing) or the time is up. */
async function waitFor(
  cluster: Cluster,
  names: readonly string[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string[]> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    const missing = notReady(cluster, names);
    if (missing.length === 0 || performance.now() >= deadline) return missing;
    const down = select(cluster, names).filter(({ connection }) => connection.state !== "connected");
    // Redials that wait for their turn are hurried: somebody stands and waits.
    if (down.length > 0) {
      const agents = down.map(({ id }) => id);
      await Promise.race([cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS, agents }), pause(LIST_TIMEOUT_MS)]);
    }
    await pause(LOOK_EVERY_MS);
  }
}

function notReady(cluster: Cluster, names: readonly string[]): string[] {
  const all = cluster.agents();
  const unknown = names.filter((name) => !all.some((agent) => agent.name === name || agent.id === name));
  const problems = unknown.map((name) => `agent ${name} is not registered on this host`);
  if (names.length === 0 && all.length === 0) problems.push("no agent is registered on this host");
  for (const agent of select(cluster, names)) {
    if (agent.connection.state !== "connected") problems.push(whyNot(agent));
    else if (!heartbeatIsHere(agent)) problems.push(`convocate-status has no heartbeat of agent ${agent.name} yet`);
  }
  return problems;
}

/** A heartbeat of the connection that is open now, not one from before. */
function heartbeatIsHere({ heard }: AgentView): boolean {
  if (heard?.connection !== "connected" || heard.last_heartbeat_at === null) return false;
  return Date.parse(heard.last_heartbeat_at) >= Date.parse(heard.since);
}

function select(cluster: Cluster, names: readonly string[]): AgentView[] {
  return cluster
    .agents()
    .filter((agent) => names.length === 0 || names.includes(agent.name) || names.includes(agent.id));
}

function json(agent: AgentView): Shape<"agents">["agents"][number] {
  const { id, name, address, release, image, labels, heard } = agent;
  const connection = { ...agent.connection, since: new Date(agent.connection.since).toISOString() };
  return { id, name, address, answers: connection.state === "connected", connection, release, image, labels, heard };
}

/** Sessions as an agent lists them now; of one that does not answer, as it last said: a heartbeat may be half a minute old. */
function rows(cluster: Cluster, listed: readonly AgentView[]): string[][] {
  const sessions = cluster.sessions().map(({ session }) => session);
  return listed.map((agent) => {
    if (agent.connection.state !== "connected") return row(agent, agent.heard?.sessions);
    const own = sessions.filter(({ agent_id }) => agent_id === agent.id);
    return row(agent, { running: own.filter(({ status }) => status.state === "running").length, total: own.length });
  });
}

function row(agent: AgentView, sessions: { running: number; total: number } | null | undefined): string[] {
  const { heard } = agent;
  return [
    agent.name,
    agent.id,
    agent.address,
    stateOf(agent),
    heard?.last_heartbeat_at ? `${shortDuration(Date.now() - Date.parse(heard.last_heartbeat_at))} ago` : "-",
    sessions ? `${sessions.running} of ${sessions.total}` : "-",
    agent.release ?? heard?.release ?? "-",
    agent.image ?? heard?.image ?? "-",
    labelsText(agent.labels ?? {}) || "-",
  ];
}

/** Down, up, or up in one direction only: which one says who must be looked at. */
export function stateOf({ connection, heard }: AgentView): string {
  const answers = connection.state === "connected" ? "up" : "down";
  if (heard?.connection !== "connected") return answers === "up" && heard ? "up, silent" : answers;
  if (heard.peer_lost_since) return `${answers}, hears nothing`;
  return answers === "up" ? "up" : "down, but heard";
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
