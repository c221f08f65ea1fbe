import type { z } from "zod";
import { ConvocateError, type ErrorCode, type SessionId } from "../../../runtime/domain/index.js";
import type { Connection } from "../../../infra/connection/index.js";
import { wrapperPath } from "../../../infra/host/program.js";
import { SHAPES } from "../../output/shapes.js";

type Answer<K extends keyof typeof SHAPES> = z.output<(typeof SHAPES)[K]>;
export type FleetAgent = Answer<"agents">["agents"][number];
export type FleetSession = Answer<"ls">["sessions"][number];
export type FleetCapacity = Answer<"capacity">["agents"][number];

/** The cluster as the shell host sees it: the keys that reach the agents are there, and never leave it. */
export interface Fleet {
  /** All agents; those that do not answer were given some time to. */
  agents(): Promise<FleetAgent[]>;
  /** Every session that any agent is known to have, and orphans. @throws ConvocateError UNREACHABLE unless `of` answers. */
  sessions(of?: FleetAgent): Promise<FleetSession[]>;
  capacity(): Promise<FleetCapacity[]>;
  /** From now on the agent takes no new sessions. @throws ConvocateError BAD_USAGE when its release cannot do that. */
  cordon(agent: FleetAgent): Promise<void>;
  /** Moves a session, or finishes a move of it. Resolves with what an operator should know. */
  move(id: SessionId, to: FleetAgent): Promise<string[]>;
  /** Takes an orphan of the shell host to an agent. Resolves with what an operator should know. */
  migrate(id: SessionId, to: FleetAgent, options?: { port?: number }): Promise<string[]>;
}

const QUESTION_MS = 60_000;
/** How long agents that do not answer at once are waited for; one that is busy is not gone. */
const WAIT_SECONDS = 10;
const LISTS = 5;
/** A home of some hundred GB: sent, compared, and written out once more. */
const MOVE_MS = 6 * 3_600_000;

/** `convocate` on the shell host: as the service user, but for orphans, whose files may be root's. */
export class FleetAtShell implements Fleet {
  readonly #connection: Connection;
  readonly #user: string;
  readonly #signal: AbortSignal;

  constructor(connection: Connection, user: string, signal: AbortSignal) {
    this.#connection = connection;
    this.#user = user;
    this.#signal = signal;
  }

  async agents(): Promise<FleetAgent[]> {
    return (await this.#ask(SHAPES.agents, ["agents", "--wait", String(WAIT_SECONDS)])).agents;
  }

  async sessions(of?: FleetAgent): Promise<FleetSession[]> {
    for (let left = LISTS; ; left--) {
      const { sessions, unreachable } = await this.#ask(SHAPES.ls, ["ls"]);
      const silent = unreachable.find(({ agent_id }) => agent_id === of?.id);
      if (!silent) return sessions;
      if (left > 1) continue;
      const why = silent.error === null ? "" : `: ${silent.error}`;
      throw new ConvocateError(
        "UNREACHABLE",
        `${silent.agent} does not say which sessions it has${why}; run the same again`,
      );
    }
  }

  async capacity(): Promise<FleetCapacity[]> {
    return (await this.#ask(SHAPES.capacity, ["capacity"])).agents;
  }

  async cordon(agent: FleetAgent): Promise<void> {
    await this.#ask(SHAPES.settings, ["settings", agent.id, "cordoned=yes"]);
  }

  async move(id: SessionId, to: FleetAgent): Promise<string[]> {
    const result = await this.#ask(SHAPES.move, ["move", id, "--to", to.id], { timeoutMs: MOVE_MS });
    return [...leftOut(result), ...result.warnings];
  }

  async migrate(id: SessionId, to: FleetAgent, { port }: { port?: number } = {}): Promise<string[]> {
    const argv = ["migrate-orphan", id, "--to", to.id, ...(port === undefined ? [] : ["--port", String(port)])];
    const result = await this.#ask(SHAPES.move, argv, { timeoutMs: MOVE_MS, root: true });
    return [...leftOut(result), ...result.warnings];
  }

  /** What a verb prints with --json; also when it ends with an error beside it, as for agents that do not answer. */
  async #ask<T extends z.ZodType>(
    shape: T,
    argv: readonly string[],
    { timeoutMs = QUESTION_MS, root = false }: { timeoutMs?: number; root?: boolean } = {},
  ): Promise<z.output<T>> {
    const user = root ? [] : ["runuser", "-u", this.#user, "--"];
    const { stdout, stderr, exitCode } = await this.#connection.run(
      [...user, wrapperPath("convocate"), ...argv, "--json"],
      { allowFailure: true, timeoutMs, signal: this.#signal },
    );
    const answer = shape.safeParse(parse(stdout));
    if (answer.success) return answer.data;
    if (exitCode !== 0) throw saidBy(stderr, exitCode);
    throw new ConvocateError(
      "COMMAND_FAILED",
      `${this.#connection.host.name}: the answer of \`convocate ${argv[0] ?? ""}\` is not understood: update the shell host ` +
        `(\`convocate-host update --host ${this.#connection.host.name}\`)`,
      { cause: answer.error },
    );
  }
}

function leftOut({ skipped_total }: Answer<"move">): string[] {
  if (skipped_total === 0) return [];
  return [`${skipped_total} of its sockets, FIFOs and devices stayed behind: they belong to one host's processes`];
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  2: "BAD_USAGE",
  3: "UNREACHABLE",
  4: "REFUSED",
  130: "INTERRUPTED",
};

/** The one line that `convocate` ends with, as an error of the same exit code. */
function saidBy(stderr: string, exitCode: number): ConvocateError {
  const line = stderr
    .trim()
    .split("\n")
    .at(-1)
    ?.replace(/^convocate: /, "");
  return new ConvocateError(CODES[exitCode] ?? "COMMAND_FAILED", line || `convocate ended with ${exitCode}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The agent of that name. @throws ConvocateError UNREACHABLE when it does not answer, and `so` says what that means. */
export function answering(agents: readonly FleetAgent[], name: string, so: string): FleetAgent {
  const agent = agents.find((one) => one.name === name);
  if (!agent)
    throw new ConvocateError(
      "UNREACHABLE",
      `${name} is not registered at the shell host, so ${so}: run \`convocate-host init-agent --host ${name}\` first`,
    );
  if (agent.answers) return agent;
  throw new ConvocateError(
    "UNREACHABLE",
    `${whyNot(agent)}; ${so}: \`convocate-host doctor --host ${name}\` looks why`,
  );
}

export function whyNot({ name, connection }: FleetAgent): string {
  return `${name} does not answer the shell host${connection.error === undefined ? "" : ` (${connection.error})`}`;
}
