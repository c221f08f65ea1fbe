import { z } from "zod";
import { ConvocateError } from "../../../runtime/domain/index.js";
import type { Connection, RunResult } from "../../connection/types.js";
import { agentsArgv, parseAgents } from "../../host/agents.js";
import type { Lifecycle } from "../lifecycle.js";
import { Account, change, compare, HostName } from "../shared.js";

const Inputs = z.object({
  shell: HostName,
  user: Account,
  agentId: z.string(),
  agentName: z.string(),
  release: z.string(),
  restartedFor: z.string(),
  waitSeconds: z.int().min(1).max(600).default(60),
});
type Inputs = z.infer<typeof Inputs>;

interface State extends Omit<Inputs, "waitSeconds"> {
  /** True when the agent answers the shell. */
  reachable: boolean;
  /** What it says it is; empty when it does not answer. */
  runningRelease: string;
}

type Seen = Pick<State, "reachable" | "runningRelease">;

/** What `convocate agents --json` says of one agent. Pure. */
export function seenOf(stdout: string, agentId: string): Seen {
  const agent = parseAgents(stdout)?.find(({ id }) => id === agentId);
  return { reachable: agent?.connection.state === "connected", runningRelease: agent?.release ?? "" };
}

/** All agents of a shell in one question, for all agents' reads. */
const answerOf = (shell: string): string => `agents of ${shell}`;

function list(connection: Connection, argv: string[], timeoutMs: number, signal: AbortSignal): Promise<RunResult> {
  return connection.run(argv, { allowFailure: true, timeoutMs, signal });
}

function whyNotReady(seen: Seen, release: string): string {
  if (!seen.reachable) return "does not answer the shell host";
  if (seen.runningRelease !== release) return `answers as release ${seen.runningRelease}, not ${release}`;
  return "answers, but convocate-status does not hear it";
}

/** The end of a rollout: the agent answers the shell with the release it was given, and its events arrive there. */
export const agentReady: Lifecycle<Inputs, State> = {
  kind: "AgentReady",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => [
    ...compare<Omit<State, "reachable" | "runningRelease">>(state, inputs, [
      "shell",
      "agentId",
      "release",
      "restartedFor",
    ]),
    ...(state.reachable ? [] : [change("reachable")]),
    ...(state.runningRelease === inputs.release ? [] : [change("runningRelease")]),
  ],
  async create(inputs, { pool, signal, progress, answers }) {
    const { waitSeconds, ...rest } = inputs;
    const connection = await pool.connect(inputs.shell, signal);
    progress(`waiting for ${inputs.agentName} to answer`);
    const deadline = Date.now() + waitSeconds * 1000;
    for (;;) {
      const left = Math.max(1, Math.ceil((deadline - Date.now()) / 1000));
      const argv = agentsArgv(inputs.user, [inputs.agentId], left);
      const { stdout, exitCode } = await list(connection, argv, (left + 20) * 1000, signal);
      const seen = seenOf(stdout, inputs.agentId);
      // Exit code 0 says that its heartbeat is there too. One that was just restarted may answer once more as what it was.
      if (exitCode === 0 && seen.reachable && seen.runningRelease === inputs.release) {
        answers.forget(answerOf(inputs.shell));
        return { id: inputs.agentId, state: { ...rest, ...seen } };
      }
      if (Date.now() >= deadline)
        throw new ConvocateError(
          "TIMEOUT",
          `${inputs.agentName} ${whyNotReady(seen, inputs.release)} after ${waitSeconds} s; journalctl -u convocate-agent on ` +
            `${inputs.agentName}, and -u convocate-status on the shell host, say why`,
        );
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  },
  async read(state, inputs, { pool, signal, answers }) {
    const connection = await pool.connect(inputs.shell, signal);
    const argv = agentsArgv(inputs.user, [], 0);
    const stdout = await answers.ask(
      answerOf(inputs.shell),
      async () => (await list(connection, argv, 30_000, signal)).stdout,
    );
    return { ...state, shell: inputs.shell, ...seenOf(stdout, state.agentId) };
  },
  async update(_state, inputs, context) {
    return (await agentReady.create(inputs, context)).state;
  },
  async delete() {
    // There is nothing to take away.
  },
};
