import { byText, ConvocateError, type Capacity, type Limits } from "../../../runtime/domain/index.js";
import type { AgentView, Cluster } from "../../../runtime/shell/index.js";
import { noAgents, unreachable, whyNot } from "./resolve.js";

/** What a session without limits pledges (SPEC 7's defaults): cores, bytes, bytes. */
const BASELINE = { cpus: 0.5, memory_bytes: 2 * 1024 ** 3, disk_bytes: 5 * 1024 ** 3 } as const;

/** How many sessions like this one still fit, by what is scarcest; below 0 when the agent is over its cap already. */
export function roomFor(capacity: Capacity, limits: Limits): number {
  const rooms = (["cpus", "memory_bytes", "disk_bytes"] as const).map(
    (what) => (capacity.allowed[what] - capacity.pledged[what]) / (limits[what] ?? BASELINE[what]),
  );
  return Math.min(...rooms);
}

/**
 * Of the agents that answer and are not cordoned, the one with the most free capacity for such a session (SPEC 7). Where any
 * of them is too old to tell, the one with the fewest running sessions. By name where that is even.
 * @throws ConvocateError NO_AGENTS, UNREACHABLE, REFUSED when all that answer are cordoned.
 */
export async function emptiestAgent(
  cluster: Pick<Cluster, "sessions" | "agents" | "capacity">,
  limits: Limits,
): Promise<AgentView> {
  const agents = cluster.agents();
  if (agents.length === 0) throw noAgents();
  const connected = agents.filter((agent) => agent.connection.state === "connected");
  // On a host that is very busy the list may take longer than a verb waits for it: then each has a call's own deadline.
  const asked = await Promise.all(
    (connected.length > 0 ? connected : agents).map((agent) => room(cluster, agent, limits)),
  );
  const answered = asked.filter((one) => one !== null);
  const open = answered.filter(({ free }) => free !== "cordoned");
  const scores = open.some(({ free }) => free === "unknown")
    ? open.map(({ agent }) => ({ agent, score: -runningOn(cluster, agent) }))
    : open.map(({ agent, free }) => ({ agent, score: Number(free) }));
  const [best] = scores.sort((a, b) => b.score - a.score || byText(a.agent.name, b.agent.name));
  if (best) return best.agent;
  const [cordoned] = answered;
  if (cordoned) {
    const names = answered.map(({ agent }) => agent.name).join(", ");
    throw new ConvocateError(
      "REFUSED",
      `every agent that answers is cordoned (${names}): \`convocate settings ${cordoned.agent.name} cordoned=no\` ends that`,
    );
  }
  throw new ConvocateError("UNREACHABLE", `no agent answers: ${unreachable(cluster).map(whyNot).join("; ")}`);
}

/** Null when the agent does not answer after all; somebody else takes the session then. */
async function room(
  cluster: Pick<Cluster, "capacity">,
  agent: AgentView,
  limits: Limits,
): Promise<{ agent: AgentView; free: number | "unknown" | "cordoned" } | null> {
  try {
    const capacity = await cluster.capacity(agent.id);
    return { agent, free: capacity.cordoned ? "cordoned" : roomFor(capacity, limits) };
  } catch (thrown) {
    if (thrown instanceof ConvocateError && thrown.exitCode === 3) return null;
    return { agent, free: "unknown" };
  }
}

function runningOn(cluster: Pick<Cluster, "sessions">, agent: AgentView): number {
  return cluster.sessions().filter(({ session }) => session.agent_id === agent.id && session.status.state === "running")
    .length;
}
