import { ConvocateError } from "../../../runtime/domain/index.js";
import type { AgentView, Cluster, SessionView } from "../../../runtime/shell/index.js";

/** How long a verb waits for agents to say what they have. */
export const LIST_TIMEOUT_MS = 2000;

/**
 * A session by exact name, else by unique prefix of its id.
 * @throws ConvocateError AMBIGUOUS_NAME with the candidates, SESSION_NOT_FOUND with the agents that could not be asked.
 */
export function resolveSession(cluster: Pick<Cluster, "sessions" | "agents">, wanted: string): SessionView {
  const all = cluster.sessions();
  const byName = all.filter((view) => view.session.name === wanted);
  const prefix = wanted.toLowerCase();
  const found =
    byName.length > 0
      ? byName
      : all.filter((view) => /^[0-9a-f-]+$/.test(prefix) && view.session.id.startsWith(prefix));
  const [first, ...others] = found;
  if (first && others.length === 0) return first;
  if (first) {
    const shown = found.slice(0, 5).map((view) => `${view.session.id} (${view.session.name} on ${view.agentName})`);
    const more = found.length > shown.length ? `, and ${found.length - shown.length} more` : "";
    throw new ConvocateError(
      "AMBIGUOUS_NAME",
      `${wanted} may be any of ${shown.join(", ")}${more}: name one by its id`,
    );
  }
  const silent = unreachable(cluster).map((agent) => agent.name);
  const beside = silent.length > 0 ? ` (${silent.join(", ")} did not answer)` : "";
  throw new ConvocateError("SESSION_NOT_FOUND", `no session ${wanted} here${beside}: see \`convocate ls\``);
}

/** An agent by exact name or id. @throws ConvocateError AGENT_NOT_FOUND, AMBIGUOUS_NAME, NO_AGENTS. */
export function resolveAgent(agents: readonly AgentView[], wanted: string): AgentView {
  if (agents.length === 0) throw noAgents();
  const found = agents.filter((agent) => agent.name === wanted || agent.id === wanted);
  const [first, ...others] = found;
  if (first && others.length === 0) return first;
  if (first)
    throw new ConvocateError(
      "AMBIGUOUS_NAME",
      `${wanted} may be ${found.map((agent) => agent.id).join(" or ")}: name it by its id`,
    );
  throw new ConvocateError(
    "AGENT_NOT_FOUND",
    `no agent ${wanted} here; there are ${agents.map((agent) => agent.name).join(", ")}`,
  );
}

/** Of the agents that answer, the one with the fewest running sessions; by name where that is even. */
export function emptiestAgent(cluster: Pick<Cluster, "sessions" | "agents">): AgentView {
  const agents = cluster.agents();
  if (agents.length === 0) throw noAgents();
  const running = new Map<string, number>();
  for (const { session } of cluster.sessions())
    if (session.status.state === "running") running.set(session.agent_id, (running.get(session.agent_id) ?? 0) + 1);
  const [best] = agents
    .filter((agent) => agent.connection.state === "connected")
    .sort((a, b) => (running.get(a.id) ?? 0) - (running.get(b.id) ?? 0) || a.name.localeCompare(b.name));
  if (best) return best;
  throw new ConvocateError("UNREACHABLE", `no agent answers: ${unreachable(cluster).map(whyNot).join("; ")}`);
}

export function unreachable(cluster: Pick<Cluster, "agents">): AgentView[] {
  return cluster.agents().filter((agent) => agent.connection.state !== "connected");
}

/** `agent-1: connection refused …`, for a line of remarks. */
export function whyNot(agent: AgentView): string {
  const error = agent.connection.state === "connecting" ? agent.connection.error : undefined;
  return `agent ${agent.name} (${agent.address}) does not answer${error ? `: ${error}` : ""}`;
}

export function noAgents(): ConvocateError {
  return new ConvocateError(
    "NO_AGENTS",
    "this cluster has no agents yet: add one with `convocate-host init-agent --host HOST`",
  );
}
