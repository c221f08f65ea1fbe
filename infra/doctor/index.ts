import { agentPaths, SESSIONS_SLICE, shellPaths, toConvocateError } from "../../runtime/domain/index.js";
import { clientTls, LOG_PORT, serverTls } from "../components/texts/rsyslog.js";
import type { Connection } from "../connection/index.js";
import type { Inventory, InventoryAgent } from "../inventory/index.js";
import { askDns, askShell, comparePins, forwardLine } from "./cross.js";
import { look, type Questions } from "./facts.js";
import type { Finding } from "./finding.js";
import { judge } from "./judge.js";

export type { Finding } from "./finding.js";

/** Looks at the hosts that are connected: each by itself, then what they have of each other. Changes nothing. */
export async function diagnose(
  inventory: Inventory,
  connections: ReadonlyMap<string, Connection>,
  signal?: AbortSignal,
): Promise<Finding[]> {
  const shell = connections.get(inventory.shell.name);
  const agents = inventory.agents.flatMap((agent) => {
    const connection = connections.get(agent.name);
    return connection ? [{ agent, connection }] : [];
  });
  const walks = [
    ...(shell
      ? [part(inventory.shell.name, () => alone(shell, questionsOfShell(inventory), "init-shell", signal))]
      : []),
    ...agents.map(({ agent, connection }) =>
      part(agent.name, () => alone(connection, questionsOfAgent(agent, inventory), "init-agent", signal)),
    ),
    ...(shell
      ? [
          part(inventory.shell.name, () =>
            askShell(
              shell,
              inventory.service.user,
              agents.map(({ agent }) => agent.name),
              signal,
            ),
          ),
          part(inventory.shell.name, () => askDns(shell, signal)),
          ...agents.map(({ agent, connection }) => part(agent.name, () => comparePins(connection, shell, signal))),
          ...agents.map(({ agent, connection }) => part(agent.name, () => forwardLine(connection, shell, signal))),
        ]
      : []),
  ];
  const findings = (await Promise.all(walks)).flat();
  const order = [inventory.shell.name, ...inventory.agents.map(({ name }) => name)];
  return findings.sort((a, b) => order.indexOf(a.host) - order.indexOf(b.host));
}

/** A part that breaks is a finding, and the others are told all the same. */
async function part(host: string, walk: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await walk();
  } catch (thrown) {
    const error = toConvocateError(thrown);
    if (error.code === "INTERRUPTED") throw error;
    return [{ host, check: "look", level: "fail", says: error.message, mend: `convocate-host plan --host ${host}` }];
  }
}

async function alone(
  connection: Connection,
  questions: Questions,
  verb: string,
  signal?: AbortSignal,
): Promise<Finding[]> {
  const host = connection.host.name;
  const beforeMs = Date.now();
  const facts = await look(connection, questions, signal);
  return judge(facts, {
    host,
    questions,
    clock: { beforeMs, afterMs: Date.now() },
    repair: `convocate-host ${verb} --host ${host}`,
  });
}

const questionsOfShell = ({ shell }: Inventory): Questions => ({
  units: ["convocate-status.service", "rsyslog.service", "dnsmasq.service"],
  ports: [
    { port: shell.statusPort, unit: "convocate-status.service" },
    { port: LOG_PORT, unit: "rsyslog.service" },
  ],
  certificate: serverTls.cert,
  keys: [shellPaths.hostKey, serverTls.key],
  slice: "",
  homes: "",
});

const questionsOfAgent = (agent: InventoryAgent, { service }: Inventory): Questions => ({
  units: ["convocate-agent.service", "docker.service", "rsyslog.service"],
  ports: [{ port: agent.agentPort, unit: "convocate-agent.service" }],
  certificate: clientTls.cert,
  keys: [agentPaths.hostKey, agentPaths.agentToShellKey, clientTls.key],
  slice: SESSIONS_SLICE,
  homes: service.home,
});
