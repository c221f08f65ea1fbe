import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { convocateProgram } from "../../cli/commands/shell/program.js";
import type { Client } from "../../cli/commands/session/client.js";
import { jsonText } from "../../cli/output/print.js";
import { SHAPE_OF_VERB, SHAPES } from "../../cli/output/shapes.js";
import { AgentId } from "../../runtime/domain/index.js";
import { openCluster, readHistory } from "../../runtime/shell/index.js";
import { FakeAgent } from "./fake-agent.js";
import { tempDir } from "./keys.js";

export interface Ran {
  out: string[];
  notes: string[];
  error: unknown;
}

/** The program `convocate` in this process, on a folder of agents and a status socket of a test's own. */
export class TestClient {
  readonly terminal = new PassThrough();
  readonly controller = new AbortController();
  /** What is typed when a verb asks. */
  answer: string | null = null;
  /** Lines so far of a verb that goes on. */
  out: string[] = [];

  constructor(readonly dir: string) {
    mkdirSync(this.agentKeys, { recursive: true });
    mkdirSync(this.home, { recursive: true });
  }

  get agentKeys(): string {
    return join(this.dir, "agent-keys");
  }

  get statusSocket(): string {
    return join(this.dir, "status.sock");
  }

  /** Where orphans lie. */
  get home(): string {
    return join(this.dir, "home");
  }

  get logs(): string {
    return join(this.dir, "logs");
  }

  /** Lines of an agent's file, as the log server writes them. */
  forward(agent: AgentId, lines: readonly string[]): void {
    mkdirSync(this.logs, { recursive: true });
    writeFileSync(join(this.logs, `${agent}.log`), lines.map((line) => `${line}\n`).join(""));
  }

  /** Runs one command line; what it printed, and the error it ended with. JSON is checked against its published shape. */
  async run(...argv: string[]): Promise<Ran> {
    const out: string[] = [];
    this.out = out;
    const notes: string[] = [];
    const screen = new PassThrough().resume();
    const shape = SHAPE_OF_VERB[argv[0] ?? ""];
    const json = (value: unknown, indent: number): void => {
      const text = jsonText(value, indent);
      if (!shape) throw new Error(`${String(argv[0])} prints JSON, and no shape of it is published`);
      SHAPES[shape].parse(JSON.parse(text));
      out.push(text);
    };
    const client: Client = {
      out: {
        line: (text) => void out.push(text),
        lines: (texts) => void out.push(...texts),
        note: (text) => void notes.push(text),
        drawn: (text) => void out.push(text),
        screen: (lines) => void out.push(lines.join("\n")),
        json: (value) => json(value, 2),
        jsonLine: (value) => json(value, 0),
        rows: null,
        columns: null,
        color: false,
      },
      signal: this.controller.signal,
      open: (connect = "at-once") =>
        openCluster({
          connect,
          paths: {
            agentKeys: this.agentKeys,
            statusSocket: this.statusSocket,
            dnsmasqHosts: join(this.dir, "dnsmasq-hosts"),
            logs: this.logs,
          },
          orphans: this.home,
        }),
      history: async (options) => readHistory({ ...options, path: this.statusSocket, signal: this.controller.signal }),
      terminal: async () => ({
        input: this.terminal,
        output: screen,
        size: () => ({ cols: 80, rows: 24 }),
        onResize: () => () => undefined,
        term: "xterm",
      }),
      ask: async () => this.answer,
    };
    const program = convocateProgram(client);
    for (const command of [program, ...program.commands])
      command.exitOverride().configureOutput({ writeErr: () => undefined });
    try {
      await program.parseAsync(argv, { from: "user" });
      return { out, notes, error: null };
    } catch (error) {
      return { out, notes, error };
    }
  }

  /** The same with --json, parsed; throws what the verb ended with. */
  async json(...argv: string[]): Promise<unknown> {
    const { out, error } = await this.run(...argv, "--json");
    if (error) throw error as Error;
    return JSON.parse(out[0] ?? "");
  }
}

/** `convocate` with two agents that answer, `agent-1` (agentaaa) and `agent-2` (agentbbb), in a folder that `cleanup` removes. */
export async function clientOfTwo(
  cleanup: AsyncDisposableStack,
): Promise<{ client: TestClient; one: FakeAgent; two: FakeAgent }> {
  const client = new TestClient(cleanup.use(tempDir()).path);
  const answering = async (id: string, name: string): Promise<FakeAgent> => {
    const agent = cleanup.use(new FakeAgent(client.dir, AgentId.parse(id), name));
    await agent.start();
    agent.register(client.agentKeys);
    return agent;
  };
  return { client, one: await answering("agentaaa", "agent-1"), two: await answering("agentbbb", "agent-2") };
}
