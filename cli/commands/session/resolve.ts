import { ConvocateError } from "../../../runtime/domain/index.js";
import type { AgentView, Cluster, SessionView } from "../../../runtime/shell/index.js";
import type { Shape } from "../../output/shapes.js";

/** How long a verb waits for agents to say what they have. */
export const LIST_TIMEOUT_MS = 2000;

/**
 * A session by exact name, else by unique prefix of its id or, unless `prefixes` is false, of its name.
 * @throws ConvocateError AMBIGUOUS_NAME with the candidates, SESSION_NOT_FOUND with the agents that could not be asked.
 */
export function resolveSession(
  cluster: Pick<Cluster, "sessions" | "agents">,
  wanted: string,
  { prefixes = true }: { prefixes?: boolean } = {},
): SessionView {
  const all = cluster.sessions();
  const byName = all.filter((view) => view.session.name === wanted);
  const id = /^[0-9A-Fa-f-]+$/.test(wanted) ? wanted.toLowerCase() : null;
  const begins = ({ session }: SessionView): boolean =>
    (id !== null && session.id.startsWith(id)) || (prefixes && wanted !== "" && session.name.startsWith(wanted));
  const found = byName.length > 0 ? byName : all.filter(begins);
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
  throw new ConvocateError("SESSION_NOT_FOUND", `no session '${wanted}' here${beside}: see \`convocate ls\``);
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
    `no agent '${wanted}' here: there are ${agents.map((agent) => agent.name).join(", ")}`,
  );
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

/** A session as `--json` shows it. */
export function sessionJson({ session, agentName, reachable }: SessionView): Shape<"session"> {
  if (session.status.state === "orphan") return { ...session, agent_id: null, agent: null, reachable };
  return { ...session, agent: agentName, reachable };
}
