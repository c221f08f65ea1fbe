import { ConvocateError, toConvocateError } from "../../../runtime/domain/index.js";
import { checkoutRoot, inventoryPath, readInventory } from "../../../infra/inventory/index.js";
import { SessionReport } from "../../output/session-report.js";
import { interruptSignal } from "../../output/run.js";
import { answering, FleetAtShell, type Fleet, type FleetSession } from "./at-shell.js";
import { agentNamed, withShell } from "./hosts.js";

export interface MigrateOptions {
  stack: string;
  agent: string;
  session?: string;
  all?: true;
  port?: number;
  json?: true;
}

/** Takes orphans of the shell host to an agent; SPEC 6.7, 8.2. Run again, it completes what was cut off. */
export async function migrateSession(options: MigrateOptions): Promise<void> {
  const { session, all, port } = options;
  if ((session === undefined) === (all === undefined))
    throw new ConvocateError("BAD_USAGE", "say what to migrate: --session UUID, or --all orphans of the shell host");
  if (all && port !== undefined)
    throw new ConvocateError("BAD_USAGE", "--port is for one session: name it (--session)");
  const inventory = readInventory(inventoryPath(checkoutRoot(), options.stack));
  const agent = agentNamed(inventory, options.agent);
  await withShell(inventory, async (connection) => {
    const fleet = new FleetAtShell(connection, inventory.service.user, interruptSignal);
    const report = new SessionReport(inventory.shell.name, { json: options.json === true });
    await migrateOrphans(fleet, { to: agent.name, session: session ?? null, port }, report);
    report.end("done");
  });
}

/** @throws ConvocateError SESSION_NOT_FOUND, SESSION_EXISTS, AMBIGUOUS_NAME, UNREACHABLE. */
export async function migrateOrphans(
  fleet: Fleet,
  { to, session, port }: { to: string; session: string | null; port?: number | undefined },
  report: Pick<SessionReport, "begin" | "gone" | "left">,
): Promise<void> {
  const target = answering(await fleet.agents(), to, "nothing was migrated");
  const all = await fleet.sessions();
  const orphans = all.filter(({ status }) => status.state === "orphan");
  const chosen = session === null ? orphans : meant(session, orphans);
  if (session !== null && chosen.length === 0) {
    const there = meant(session, all).at(0);
    if (there?.agent === to) {
      report.gone(there, to, []);
      return;
    }
    throw notHere(session, there, orphans);
  }
  for (const [at, orphan] of chosen.entries()) {
    report.begin(orphan, at + 1, chosen.length);
    try {
      report.gone(orphan, to, await fleet.migrate(orphan.id, target, port === undefined ? {} : { port }));
    } catch (thrown) {
      const error = toConvocateError(thrown);
      if (error.code === "INTERRUPTED") throw error;
      report.left(orphan, error.message);
    }
  }
}

/** By id, or by a name that only one has. */
function meant(wanted: string, sessions: readonly FleetSession[]): FleetSession[] {
  const byId = sessions.filter(({ id }) => id === wanted);
  if (byId.length > 0) return byId;
  const byName = sessions.filter(({ name }) => name === wanted);
  if (byName.length < 2) return byName;
  throw new ConvocateError(
    "AMBIGUOUS_NAME",
    `${wanted} may be ${byName.map(({ id }) => id).join(" or ")}: name it by its id`,
  );
}

function notHere(wanted: string, there: FleetSession | undefined, orphans: readonly FleetSession[]): ConvocateError {
  if (there)
    return new ConvocateError(
      "SESSION_EXISTS",
      `session ${there.name} is on ${there.agent ?? "-"} already: \`convocate move\` takes it to another agent`,
    );
  const names = orphans.map(({ name, id }) => `${name} (${id})`).join(", ");
  return new ConvocateError("SESSION_NOT_FOUND", `no orphan ${wanted} on the shell host: it has ${names || "none"}`);
}
