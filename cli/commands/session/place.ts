import {
  byText,
  ConvocateError,
  hasLabels,
  labelledText,
  labelsText,
  type Capacity,
  type Labels,
  type Limits,
} from "../../../runtime/domain/index.js";
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
 * With `labels`, only of those that have them all.
 * @throws ConvocateError NO_AGENTS, UNREACHABLE, AGENT_NOT_FOUND when none that answers has the labels, REFUSED when all those
 * are cordoned.
 */
export async function emptiestAgent(
  cluster: Pick<Cluster, "sessions" | "agents" | "capacity">,
  limits: Limits,
  labels: Labels = {},
): Promise<AgentView> {
  const agents = cluster.agents();
  if (agents.length === 0) throw noAgents();
  const connected = agents.filter((agent) => agent.connection.state === "connected");
  // On a host that is very busy the list may take longer than a verb waits for it: then each has a call's own deadline.
  const asked = await Promise.all(
    (connected.length > 0 ? connected : agents).map((agent) => room(cluster, agent, limits)),
  );
  const able = asked.filter((one) => one !== null);
  const answered = able.filter(({ agent }) => hasLabels(agent.labels ?? {}, labels));
  if (able.length > 0 && answered.length === 0)
    throw unlabelled(
      able.map(({ agent }) => agent),
      labels,
      unreachable(cluster),
    );
  const open = answered.filter(({ free }) => free !== "cordoned");
  const scores = open.some(({ free }) => free === "unknown")
    ? open.map(({ agent }) => ({ agent, score: -runningOn(cluster, agent) }))
    : open.map(({ agent, free }) => ({ agent, score: Number(free) }));
  const [best] = scores.sort((a, b) => b.score - a.score || byText(a.agent.name, b.agent.name));
  if (best) return best.agent;
  const [cordoned] = answered;
  if (cordoned) {
    const withLabels = Object.keys(labels).length > 0 ? `with ${labelsText(labels)} ` : "";
    const names = answered.map(({ agent }) => agent.name).join(", ");
    throw new ConvocateError(
      "REFUSED",
      `every agent ${withLabels}that answers is cordoned (${names}): \`convocate settings ${cordoned.agent.name} cordoned=no\` ends that`,
    );
  }
  throw new ConvocateError("UNREACHABLE", `no agent answers: ${unreachable(cluster).map(whyNot).join("; ")}`);
}

function unlabelled(
  there: readonly AgentView[],
  wanted: Labels,
  silent: readonly Pick<AgentView, "name">[],
): ConvocateError {
  const labelled = there.map(({ name, labels }) => ({ name, labels: labels ?? {} }));
  const beside = silent.length > 0 ? ` (${silent.map(({ name }) => name).join(", ")} did not answer)` : "";
  return new ConvocateError(
    "AGENT_NOT_FOUND",
    `no agent has ${labelsText(wanted)}: there are ${labelledText(labelled)}${beside}`,
  );
}

/** Null when the agent does not answer after all; somebody else takes the session then. */
async function room(
  cluster: Pick<Cluster, "agents" | "capacity">,
  agent: AgentView,
  limits: Limits,
): Promise<{ agent: AgentView; free: number | "unknown" | "cordoned" } | null> {
  // One that was dialled only for this has told its labels with that.
  const now = (): AgentView => cluster.agents().find(({ id }) => id === agent.id) ?? agent;
  try {
    const capacity = await cluster.capacity(agent.id);
    return { agent: now(), free: capacity.cordoned ? "cordoned" : roomFor(capacity, limits) };
  } catch (thrown) {
    if (thrown instanceof ConvocateError && thrown.exitCode === 3) return null;
    return { agent: now(), free: "unknown" };
  }
}

function runningOn(cluster: Pick<Cluster, "sessions">, agent: AgentView): number {
  return cluster.sessions().filter(({ session }) => session.agent_id === agent.id && session.status.state === "running")
    .length;
}
