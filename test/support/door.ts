import xterm from "@xterm/headless";
import type { Session, SessionId } from "../../runtime/domain/index.js";
import { AttachReply } from "../../runtime/protocol/attach/header.js";
import { readFirstLine } from "../../runtime/protocol/ndjson.js";
import { RpcClient } from "../../runtime/protocol/rpc/client.js";
import { dial } from "../../runtime/protocol/ssh/client.js";
import type { ClientChannel, DialOptions, SshConnection } from "../../runtime/protocol/ssh/types.js";
import type { TestCluster } from "./cluster.js";
import { eventually } from "./eventually.js";

/** What the shell host knows of an agent: everything that it takes to dial it. */
export interface Door extends DialOptions {
  agentId: string;
}

/** Reads an agent's door from the shell host's files, as the shell itself does. */
export async function doorOf(cluster: TestCluster, agentName: string): Promise<Door> {
  const script = `cd /etc/convocate/agent-keys; for id in *; do if [ "$(cat "$id/agent-name")" = "$1" ]; then
    echo "$id"; cat "$id/agent-host"; echo; cat "$id/host_key.pub"; cat "$id/shell_to_agent_ed25519_key"; fi; done`;
  const { stdout } = await cluster.lab.exec("shell", ["bash", "-c", script, "-", agentName]);
  const [agentId = "", address = "", ...rest] = stdout.split("\n").filter((line) => line.trim() !== "");
  const hostKey = rest[0];
  if (!hostKey) throw new Error(`the shell host knows no agent ${agentName}`);
  const [host = "", port] = address.split(":");
  return { agentId, host, port: Number(port ?? 222), hostKey, privateKey: `${rest.slice(1).join("\n")}\n` };
}

/** One RPC channel to an agent, for as long as the block lasts. */
export async function rpcTo(door: Door): Promise<{ rpc: RpcClient; connection: SshConnection } & AsyncDisposable> {
  const connection = await dial({ ...door, timeoutMs: 20_000 });
  const channel = await connection.openSubsystem("convocate-agent-rpc");
  const rpc = new RpcClient(channel.stream);
  return { rpc, connection, [Symbol.asyncDispose]: async () => connection.close() };
}

/** The session once it runs and its CLI's prompt could be drawn. */
export async function running(rpc: RpcClient, id: SessionId): Promise<Session> {
  return await eventually(`session ${id} to run`, async () => {
    const session = await rpc.call("get", { id });
    return session.status.state === "running" && session;
  });
}

export interface AttachOptions {
  id: string;
  cols?: number;
  rows?: number;
  mode?: "rw" | "ro";
  /** Bytes sent in the same write as the header. */
  with?: string;
}

/** A plain attach, as `ssh -s` would have it, with a real terminal's screen behind it. */
export class TestAttach implements AsyncDisposable {
  readonly terminal: xterm.Terminal;

  private constructor(
    readonly connection: SshConnection,
    readonly channel: ClientChannel,
    cols: number,
    rows: number,
  ) {
    this.terminal = new xterm.Terminal({ cols, rows, allowProposedApi: true });
    channel.stream.on("data", (chunk: Buffer) => this.terminal.write(chunk));
    // answers to the session's questions (cursor position, device attributes), as a terminal gives them
    this.terminal.onData((answer) => channel.stream.writable && channel.stream.write(answer));
  }

  static async open(
    door: Door,
    { id, cols = 100, rows = 30, mode = "rw", with: extra = "" }: AttachOptions,
  ): Promise<TestAttach> {
    const connection = await dial({ ...door, timeoutMs: 20_000 });
    const channel = await connection.openSubsystem("convocate-agent-attach");
    channel.stream.write(`${JSON.stringify({ id, cols, rows, mode, term: "xterm-256color" })}\n${extra}`);
    const reply = AttachReply.parse(JSON.parse(await readFirstLine(channel.stream, { timeoutMs: 20_000 })));
    if (!reply.ok) {
      connection.close();
      throw new Error(`${reply.code}: ${reply.error}`);
    }
    return new TestAttach(connection, channel, cols, rows);
  }

  type(text: string): void {
    this.channel.stream.write(text);
  }

  resize(cols: number, rows: number): void {
    this.terminal.resize(cols, rows);
    this.channel.setWindow({ cols, rows });
  }

  /** The screen's text, a line a row, without trailing blanks. */
  screen(): string {
    const buffer = this.terminal.buffer.active;
    return Array.from(
      { length: this.terminal.rows },
      (_, y) => buffer.getLine(buffer.viewportY + y)?.translateToString(true) ?? "",
    ).join("\n");
  }

  async see(text: string | RegExp, timeoutMs = 30_000): Promise<string> {
    const matches = (screen: string): boolean => (typeof text === "string" ? screen.includes(text) : text.test(screen));
    try {
      return await eventually(`${String(text)} on the screen`, () => matches(this.screen()) && this.screen(), {
        timeoutMs,
        everyMs: 50,
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; it showed:\n${this.screen()}`);
    }
  }

  /** Drops the connection without a word, as a lost network would look to the client. */
  drop(): void {
    this.connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.close();
    this.terminal.dispose();
  }
}
