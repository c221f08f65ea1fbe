import { Command } from "commander";
import { ConvocateError, type Session } from "../../../runtime/domain/index.js";
import type { Cluster, Terminal } from "../../../runtime/shell/index.js";
import type { Client } from "./client.js";
import { LIST_TIMEOUT_MS, resolveSession } from "./resolve.js";

/** `convocate attach`: this terminal becomes the session's until Ctrl-b d. */
export function attach(client: Client): Command {
  return new Command("attach")
    .description("attach this terminal to a session; Ctrl-b d detaches, the session goes on")
    .argument("<session>", "the beginning of its name or id")
    .option("--read-only", "only watch; Ctrl-b d or Ctrl-C leaves")
    .addHelpText(
      "after",
      "\nOn a slow line what you type shows before its echo; CONVOCATE_PREDICT=never turns that off.",
    )
    .action(async (wanted: string, options: { readOnly?: true }) => {
      const terminal = await client.terminal();
      await using cluster = await client.open("when-needed");
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
      const { session } = resolveSession(cluster, wanted);
      await attachTo(client, cluster, session, terminal, options.readOnly ? "ro" : "rw");
    });
}

/** Attaches, and says how it ended when that was not by detaching. A signal restores the terminal before it ends us. */
export async function attachTo(
  client: Client,
  cluster: Cluster,
  session: Session,
  terminal: Terminal,
  mode: "rw" | "ro",
): Promise<void> {
  const told = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void =>
    told.abort(new ConvocateError("INTERRUPTED", `ended by ${signal}`));
  const signals = ["SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  try {
    const outcome = await cluster.attach(session.id, terminal, {
      mode,
      signal: AbortSignal.any([told.signal, client.signal]),
    });
    if (outcome.kind === "failed") throw outcome.error;
    if (outcome.exitStatus !== 0)
      throw new ConvocateError(
        "COMMAND_FAILED",
        `session ${session.name} ended while attached (status ${outcome.exitStatus}): see \`convocate ls\``,
      );
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}
