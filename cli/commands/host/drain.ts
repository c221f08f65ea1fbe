import { byText, ConvocateError, toConvocateError } from "../../../runtime/domain/index.js";
import { checkoutRoot, inventoryPath, readInventory } from "../../../infra/inventory/index.js";
import { SessionReport } from "../../output/session-report.js";
import { interruptSignal } from "../../output/run.js";
import { roomFor } from "../session/place.js";
import { answering, FleetAtShell, whyNot, type Fleet, type FleetAgent, type FleetSession } from "./at-shell.js";
import { agentNamed, withShell } from "./hosts.js";

type Report = Pick<SessionReport, "begin" | "gone" | "left" | "note">;

export interface DrainOptions {
  stack: string;
  host: string;
  to?: string;
  spread?: true;
  json?: true;
}

/**
 * Moves every session away from an agent, which takes no new ones from then on (SPEC 8.2). Run again, it goes on with what
 * is left.
 */
export async function drain(options: DrainOptions): Promise<void> {
  if ((options.to === undefined) === (options.spread === undefined))
    throw new ConvocateError("BAD_USAGE", "say where its sessions go: --to AGENT, or --spread over all others");
  const inventory = readInventory(inventoryPath(checkoutRoot(), options.stack));
  const from = agentNamed(inventory, options.host);
  const to = options.to === undefined ? null : agentNamed(inventory, options.to);
  if (to === from) throw new ConvocateError("BAD_USAGE", `${from.name} is what is drained: name another agent`);
  if (inventory.agents.length === 1)
    throw new ConvocateError(
      "REFUSED",
      `${from.name} is the only agent, so its sessions have nowhere to go: add one with \`convocate-host init-agent\``,
    );
  await withShell(inventory, async (connection) => {
    const fleet = new FleetAtShell(connection, inventory.service.user, interruptSignal);
    const report = new SessionReport(from.name, { json: options.json === true });
    await drainAgent(fleet, { from: from.name, to: to?.name ?? null }, report);
    report.end("drained");
  });
}

/**
 * Cordons the agent, then moves one session after another, since their homes share a disk and a link. One that cannot go is
 * told and passed by; those whose making had begun are taken, too. `to` null: to whoever has the most room for it and takes it.
 * @throws ConvocateError UNREACHABLE when the agent itself, or everybody who might take its sessions, does not answer.
 */
export async function drainAgent(
  fleet: Fleet,
  { from, to }: { from: string; to: string | null },
  report: Report,
): Promise<void> {
  const agents = await fleet.agents();
  const source = answering(agents, from, "its sessions cannot be moved");
  const targets =
    to === null ? agents.filter(({ id }) => id !== source.id) : [answering(agents, to, "nothing was moved")];
  const able = targets.filter(({ answers }) => answers);
  if (able.length === 0)
    throw new ConvocateError("UNREACHABLE", `no other agent answers the shell host: ${targets.map(whyNot).join("; ")}`);
  await cordon(fleet, source, report);
  const tried = new Set<string>();
  for (;;) {
    const rows = (await fleet.sessions(source)).filter(({ agent, id }) => agent === source.name && !tried.has(id));
    if (rows.length === 0) return;
    for (const [at, session] of rows.entries()) {
      tried.add(session.id);
      report.begin(session, at + 1, rows.length);
      await moveAway(fleet, session, await inOrder(fleet, able, session), report);
    }
  }
}

/** An agent of an earlier release goes on taking sessions; those are moved, too, as long as they come. */
async function cordon(fleet: Fleet, agent: FleetAgent, report: Report): Promise<void> {
  try {
    await fleet.cordon(agent);
    report.note(
      `${agent.name}: takes no new sessions now; \`convocate settings ${agent.name} cordoned=no\` on the shell host ends that`,
    );
  } catch (thrown) {
    const error = toConvocateError(thrown);
    if (error.code !== "BAD_USAGE") throw error;
    report.note(`${agent.name}: goes on taking new sessions: ${error.message}`);
  }
}

/** To the first that takes it. A refused move has stopped nothing, and one that was cut off is finished by the next. */
async function moveAway(
  fleet: Fleet,
  session: FleetSession,
  targets: readonly FleetAgent[],
  report: Report,
): Promise<void> {
  const refusals: string[] = [];
  for (const target of targets) {
    try {
      report.gone(session, target.name, await fleet.move(session.id, target));
      return;
    } catch (thrown) {
      const error = toConvocateError(thrown);
      if (error.code === "INTERRUPTED") throw error;
      refusals.push(error.message);
    }
  }
  report.left(session, [...new Set(refusals)].join("; "));
}

/** Who has the most room for it comes first; before all, where a move of it was cut off. */
async function inOrder(fleet: Fleet, able: readonly FleetAgent[], session: FleetSession): Promise<FleetAgent[]> {
  if (able.length === 1) return [...able];
  const capacities = await fleet.capacity();
  const room = (agent: FleetAgent): number => {
    if (agent.id === session.moved_to) return Infinity;
    const capacity = capacities.find(({ agent_id }) => agent_id === agent.id)?.capacity;
    return capacity && !capacity.cordoned ? roomFor(capacity, session.limits) : -Infinity;
  };
  const rooms = able.map((agent) => ({ agent, room: room(agent) }));
  return rooms.sort((a, b) => b.room - a.room || byText(a.agent.name, b.agent.name)).map(({ agent }) => agent);
}
