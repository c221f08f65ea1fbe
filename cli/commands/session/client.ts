import { ConvocateError, shellPaths } from "../../../runtime/domain/index.js";
import type { Cluster, ClusterOptions, HistoryItem, HistoryOptions, Terminal } from "../../../runtime/shell/index.js";
import { processOutput, type Output } from "../../output/print.js";
import { interruptSignal } from "../../output/run.js";

/** What the client verbs need of the world; tests bring their own. */
export interface Client {
  readonly out: Output;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** @throws ConvocateError WRONG_UID unless this process is the service user's. */
  open(connect?: ClusterOptions["connect"]): Promise<Cluster>;
  /** Events that convocate-status has kept. @throws ConvocateError WRONG_UID, UNREACHABLE. */
  history(options: Omit<HistoryOptions, "path" | "signal">): Promise<AsyncIterable<HistoryItem>>;
  /** @throws ConvocateError BAD_USAGE when there is none. */
  terminal(): Promise<Terminal>;
  /** Asks one line; null when nobody is there to answer. */
  ask(question: string): Promise<string | null>;
}

/** The real one. The cluster's code is loaded when a verb opens it: `--help` and `version` start without. */
export const processClient: Client = {
  out: processOutput,
  signal: interruptSignal,
  async open(connect = "at-once") {
    return await (await shellForUser()).openCluster({ signal: interruptSignal, connect });
  },
  async history(options) {
    const { readHistory } = await shellForUser();
    return readHistory({ ...options, path: shellPaths.statusSocket, signal: interruptSignal });
  },
  async terminal() {
    const { processTerminal } = await import("../../../runtime/shell/index.js");
    return processTerminal();
  },
  async ask(question) {
    if (!process.stdin.isTTY) return null;
    const { createInterface } = await import("node:readline/promises");
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return await lines.question(question, { signal: interruptSignal });
    } finally {
      lines.close();
    }
  },
};

async function shellForUser(): Promise<typeof import("../../../runtime/shell/index.js")> {
  const shell = await import("../../../runtime/shell/index.js");
  refuseOthers(process.getuid?.() ?? -1, await shell.findServiceUser(), process.argv.slice(2));
  return shell;
}

/** SPEC 3: only the service user, since the keys that reach the agents are its own. */
export function refuseOthers(uid: number, user: { name: string; uid: number } | null, args: readonly string[]): void {
  if (!user)
    throw new ConvocateError(
      "WRONG_UID",
      "this host has no service user yet: set it up with `convocate-host init-shell`",
    );
  if (uid === user.uid) return;
  const shown = args.map((arg) => (/^[\w./:=@%+-]+$/.test(arg) ? arg : "…")).join(" ");
  const command = `convocate ${shown}`.trim();
  throw new ConvocateError("WRONG_UID", `convocate runs as ${user.name} here: use \`sudo -u ${user.name} ${command}\``);
}
