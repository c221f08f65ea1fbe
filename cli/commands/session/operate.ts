import { Command } from "commander";
import { ConvocateError } from "../../../runtime/domain/index.js";
import type { Cluster, SessionView } from "../../../runtime/shell/index.js";
import type { Client } from "./client.js";
import { LIST_TIMEOUT_MS, resolveSession } from "./resolve.js";

/** `kill`, `restart`, `background`, `delete`: one operation on one session. */
export function operations(client: Client): Command[] {
  return [
    verb("kill", "stop a session's container: 10 s of grace, then SIGKILL").action(
      (wanted: string, options: { json?: true }) =>
        on(client, wanted, async (cluster, { session, agentName }) => {
          const killed = await cluster.kill(session.id);
          tell(client, options.json, { ...killed, agent: agentName }, `stopped ${session.name}`);
        }),
    ),
    verb("restart", "start a session's container from the agent's current image")
      .option("--force", "stop it first when it runs")
      .action((wanted: string, options: { force?: true; json?: true }) =>
        on(client, wanted, async (cluster, { session, agentName }) => {
          const started = await cluster.restart(session.id, { force: options.force ?? false });
          tell(client, options.json, { ...started, agent: agentName }, `started ${session.name}`);
        }),
      ),
    verb("background", "detach every terminal from a session; it goes on").action(
      (wanted: string, options: { json?: true }) =>
        on(client, wanted, async (cluster, { session }) => {
          const detached = await cluster.background(session.id);
          tell(client, options.json, { id: session.id, detached }, `detached ${detached} from ${session.name}`);
        }),
    ),
    verb("delete", "delete a session with its container and its home")
      .option("--yes", "do not ask")
      .action((wanted: string, options: { yes?: true; json?: true }) =>
        on(client, wanted, async (cluster, view) => {
          if (!options.yes) await confirm(client, view);
          await cluster.delete(view.session.id);
          tell(client, options.json, { id: view.session.id, deleted: true }, `deleted ${view.session.name}`);
        }),
      ),
  ];
}

function verb(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .argument("<session>", "its name, or the beginning of its id")
    .option("--json", "print JSON");
}

async function on(
  client: Client,
  wanted: string,
  act: (cluster: Cluster, view: SessionView) => Promise<void>,
): Promise<void> {
  await using cluster = await client.open();
  await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
  await act(cluster, resolveSession(cluster, wanted));
}

function tell(client: Client, json: true | undefined, value: unknown, line: string): void {
  if (json) client.out.json(value);
  else client.out.line(line);
}

/** A confirmation that names the session (SPEC 6.3). */
async function confirm(client: Client, { session, agentName }: SessionView): Promise<void> {
  const question = `This deletes ${session.name} (${session.id}) on ${agentName} with everything in its home. Type its name: `;
  const answer = await client.ask(question);
  if (answer === null)
    throw new ConvocateError("BAD_USAGE", `deleting ${session.name} needs a terminal to confirm it, or --yes`);
  if (answer.trim() !== session.name)
    throw new ConvocateError("REFUSED", `that is not its name: ${session.name} is not deleted`);
}
