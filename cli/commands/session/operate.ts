import { Command } from "commander";
import { ConvocateError, type Session } from "../../../runtime/domain/index.js";
import type { Cluster, SessionView } from "../../../runtime/shell/index.js";
import { printJson } from "../../output/json.js";
import type { Client } from "./client.js";
import { seconds } from "./options.js";
import { LIST_TIMEOUT_MS, resolveSession, sessionJson } from "./resolve.js";
import { WAIT_SECONDS, waitUntilReady } from "./wait.js";

interface Common {
  json?: true;
  wait?: number | true;
}

/** `start`, `kill`, `restart`, `background`, `override`, `delete`: one operation on one session. */
export function operations(client: Client): Command[] {
  return [
    waiting(verb("start", "start a session that is stopped; one that runs goes on")).action(
      (wanted: string, options: Common) =>
        on(client, wanted, async (cluster, view) => {
          const runs = view.session.status.state === "running" && view.reachable;
          if (!runs) await cluster.restart(view.session.id);
          await started(client, cluster, view, options, runs ? "runs already:" : "started");
        }),
    ),
    verb("kill", "stop a session's container: 10 s of grace, then SIGKILL").action((wanted: string, options: Common) =>
      on(client, wanted, async (cluster, view) => {
        const word = view.session.status.state === "stopped" ? "stopped already:" : "stopped";
        tell(client, options, view, await cluster.kill(view.session.id), word);
      }),
    ),
    waiting(verb("restart", "start a session's container from the agent's current image"))
      .option("--force", "stop it first when it runs")
      .action((wanted: string, options: Common & { force?: true }) =>
        on(client, wanted, async (cluster, view) => {
          await cluster.restart(view.session.id, { force: options.force ?? false });
          await started(client, cluster, view, options, "started");
        }),
      ),
    verb("background", "detach every terminal from a session; it goes on").action((wanted: string, options: Common) =>
      on(client, wanted, async (cluster, { session }) => {
        const detached = await cluster.background(session.id);
        if (options.json) printJson(client.out, "background", { id: session.id, detached });
        else client.out.line(`detached ${detached} from ${session.name}`);
      }),
    ),
    verb("override", "clear the lock that an operation which did not end has left")
      .option("--force", "clear it although its operation seems to be under way")
      .action((wanted: string, options: Common & { force?: true }) =>
        on(client, wanted, async (cluster, view) => {
          const locked = view.session.status.state === "locked";
          const session = await cluster.override(view.session.id, { force: options.force ?? false });
          tell(client, options, view, session, locked ? "cleared the lock of" : "there is no lock on");
        }),
      ),
    // What cannot be undone wants the whole name, or an id.
    verb("delete", "delete a session with its container and its home", "its name, or the beginning of its id")
      .option("--yes", "do not ask")
      .action((wanted: string, options: Common & { yes?: true }) =>
        on(
          client,
          wanted,
          async (cluster, view) => {
            if (!options.yes) await confirm(client, view);
            await cluster.delete(view.session.id);
            if (options.json) printJson(client.out, "delete", { id: view.session.id, deleted: true });
            else client.out.line(`deleted ${view.session.name}`);
          },
          { prefixes: false },
        ),
      ),
  ];
}

function verb(name: string, description: string, which = "the beginning of its name or id"): Command {
  return new Command(name).description(description).argument("<session>", which).option("--json", "print JSON");
}

function waiting(command: Command): Command {
  return command.option(
    "--wait [seconds]",
    `wait until its CLI shows its prompt, ${WAIT_SECONDS} s unless told`,
    seconds,
  );
}

/** Opens the cluster, finds the session, and does it. */
export async function on(
  client: Client,
  wanted: string,
  act: (cluster: Cluster, view: SessionView) => Promise<void>,
  options: { prefixes?: boolean } = {},
): Promise<void> {
  await using cluster = await client.open("when-needed");
  await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
  await act(cluster, resolveSession(cluster, wanted, options));
}

async function started(
  client: Client,
  cluster: Cluster,
  before: SessionView,
  options: Common,
  done: string,
): Promise<void> {
  const { id } = before.session;
  const view =
    options.wait === undefined
      ? (cluster.sessions().find(({ session }) => session.id === id) ?? before)
      : await waitUntilReady(cluster, id, client, (options.wait === true ? WAIT_SECONDS : options.wait) * 1000);
  tell(client, options, before, view.session, done);
}

export function tell(client: Client, options: Common, view: SessionView, session: Session, done: string): void {
  if (options.json) printJson(client.out, "session", sessionJson({ ...view, session }));
  else client.out.line(`${done} ${session.name}`);
}

/** A confirmation that names the session (SPEC 6.3). */
async function confirm(client: Client, { session, agentName }: SessionView): Promise<void> {
  const where = session.status.state === "orphan" ? session.status.path : agentName;
  const question = `This deletes ${session.name} (${session.id}) on ${where} with everything in its home. Type its name: `;
  const answer = await client.ask(question);
  if (answer === null)
    throw new ConvocateError("BAD_USAGE", `deleting ${session.name} needs a terminal to confirm it, or --yes`);
  if (answer.trim() !== session.name)
    throw new ConvocateError("REFUSED", `that is not its name: ${session.name} is not deleted`);
}
