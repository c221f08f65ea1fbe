import { Command } from "commander";
import type { MoveProgress, MoveResult } from "../../../runtime/shell/index.js";
import { printJson } from "../../output/json.js";
import { transferProgress } from "../../output/transfer.js";
import type { Client } from "./client.js";
import { on } from "./operate.js";
import { publishedPort, sessionName } from "./options.js";
import { resolveAgent, sessionJson } from "./resolve.js";

interface Left {
  skipped: { path: string; kind: string }[];
  skipped_total: number;
}

/** `convocate move`: a session goes to another agent with all it has. */
export function move(client: Client): Command {
  return new Command("move")
    .description("move a session with its home to another agent; what runs is stopped, and started there")
    .argument("<session>", "the beginning of its name or id")
    .requiredOption("--to <name|id>", "the agent it goes to")
    .option("--port <number>", "publish this port there; -1: the first free one; its own unless told", publishedPort)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nA move that was cut off leaves the session whole on one agent: the same command finishes it. Ctrl-C takes it back.",
    )
    .action((wanted: string, options: { to: string; port?: number; json?: true }) =>
      on(client, wanted, async (cluster, view) => {
        const target = resolveAgent(cluster.agents(), options.to);
        const moved = await live((onProgress) =>
          cluster.move(view.session.id, target.id, {
            ...(options.port === undefined ? {} : { port: options.port }),
            onProgress,
            signal: client.signal,
          }),
        );
        tellMoved(client, "moved", moved, { to: target.name, json: options.json === true });
      }),
    );
}

/** `convocate clone`: home and settings under a new id, on the same agent or on another. */
export function clone(client: Client): Command {
  return new Command("clone")
    .description("copy a session with its home to a new one; it may run meanwhile")
    .argument("<session>", "the beginning of its name or id")
    .argument("<name>", "of the copy", sessionName)
    .option("--to <name|id>", "the agent that gets the copy; the same one unless told")
    .option("--json", "print JSON")
    .action((wanted: string, name: string, options: { to?: string; json?: true }) =>
      on(client, wanted, async (cluster, view) => {
        const target = options.to === undefined ? null : resolveAgent(cluster.agents(), options.to);
        const { session, ...left } = await live((onProgress) =>
          cluster.clone(view.session.id, {
            name,
            ...(target ? { to: target.id } : {}),
            onProgress,
            signal: client.signal,
          }),
        );
        if (options.json) {
          const copy = sessionJson({ ...view, session, agentName: target?.name ?? view.agentName });
          printJson(client.out, "clone", { session: copy, ...left });
          return;
        }
        const where = target ? ` on ${target.name}` : "";
        client.out.line(`cloned ${view.session.name} to ${session.name}${where}, id ${session.id}`);
        noteLeft(client, left);
      }),
    );
}

/** `done` is what was done with it, for a person. */
export function tellMoved(
  client: Client,
  done: string,
  { session, warnings, ...left }: MoveResult,
  { to, json }: { to: string; json: boolean },
): void {
  const row = sessionJson({ session, agentName: to, reachable: true });
  if (json) printJson(client.out, "move", { session: row, ...left, warnings });
  else {
    client.out.line(`${done} ${session.name} to ${to}`);
    noteLeft(client, left);
  }
  for (const warning of warnings) client.out.note(warning);
}

/** Shows how far it is, on a terminal. */
export async function live<T>(work: (onProgress: (progress: MoveProgress) => void) => Promise<T>): Promise<T> {
  const progress = transferProgress();
  try {
    return await work((now) => progress.take(now));
  } finally {
    progress.end();
  }
}

function noteLeft(client: Client, { skipped, skipped_total }: Left): void {
  for (const { path, kind } of skipped) client.out.note(`left out ${kind} ${path}`);
  if (skipped_total > skipped.length) client.out.note(`left out ${skipped_total - skipped.length} more`);
}
