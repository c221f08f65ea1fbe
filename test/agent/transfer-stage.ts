import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { containerName } from "../../runtime/agent/containers/spec.js";
import { treeDigest, walk } from "../../runtime/agent/trees/tree.js";
import { ConvocateError, type Session, type SessionId } from "../../runtime/domain/index.js";
import { OPS, type OpInput } from "../../runtime/protocol/rpc/ops.js";
import type { TransferPeer } from "../../runtime/shell/agents/transfer.js";
import { TransferAgent } from "./transfer-agent.js";

/** Where a network is cut: at which step (a call, or a write on a channel), and what is gone with it. */
export interface Cut {
  /** Counted from 1, or the phase that a call is for: an archive may come in more pieces, and so steps, on a busy machine. */
  at: number | "activate";
  when: "before" | "after";
  /** That one connection, or the shell with all it holds. */
  what: "link" | "shell";
}

/** Two agents, and a running session on the first whose home has what homes may hold. */
export class TransferStage implements AsyncDisposable {
  readonly #root = mkdtempSync(join(tmpdir(), "convocate-move-"));
  readonly here = new TransferAgent("here", join(this.#root, "here"));
  readonly there = new TransferAgent("there", join(this.#root, "there"));
  session!: Session;
  /** What its home is. */
  digest!: string;

  static async open(): Promise<TransferStage> {
    const stage = new TransferStage();
    await Promise.all([stage.here.revive(), stage.there.revive()]);
    stage.session = await stage.create({ name: "one", port: 8080, dns_name: "web.example", start: true });
    fill(stage.home(stage.here));
    stage.digest = await stage.digestOf(stage.here);
    stage.here.effects.length = 0;
    return stage;
  }

  async create(change: Partial<OpInput<"create">>, agent = this.here): Promise<Session> {
    const params = { request_id: `request-${Math.random()}`, name: "x", ...change };
    return agent.sessions.create(OPS.create.params.parse(params));
  }

  /** One more agent, with settings of its own. */
  async agent(name: string, change: ConstructorParameters<typeof TransferAgent>[2]): Promise<TransferAgent> {
    const agent = new TransferAgent(name, join(this.#root, name), change);
    await agent.revive();
    return agent;
  }

  home(agent: TransferAgent, id: SessionId = this.session.id): string {
    return join(agent.root, "home", id);
  }

  async digestOf(agent: TransferAgent, id?: SessionId): Promise<string> {
    const path = this.home(agent, id);
    return treeDigest(path, await walk(path));
  }

  /** Where the session is shown as one that can be used. */
  async living(): Promise<TransferAgent[]> {
    const found: TransferAgent[] = [];
    for (const agent of [this.here, this.there]) {
      const sessions = await agent.sessions.list();
      if (sessions.some(({ id, moved_to }) => id === this.session.id && !moved_to)) found.push(agent);
    }
    return found;
  }

  isRunning(agent: TransferAgent): boolean {
    return agent.docker.containers.get(containerName(this.session.id))?.state.running ?? false;
  }

  /** Both agents as seen over a network that is cut once. */
  network(cut: Cut | null): { peers: [TransferPeer, TransferPeer]; steps: () => number } {
    let steps = 0;
    let shell: "alive" | "dead" = "alive";
    const isDead = (): boolean => shell === "dead";
    const lost = (): ConvocateError => new ConvocateError("CONNECTION_LOST", "cut");
    const due = (step: number, when: Cut["when"], phase?: string): boolean => {
      if ((cut?.at !== step && cut?.at !== phase) || cut?.when !== when) return false;
      if (cut.what === "shell") {
        shell = "dead";
        for (const agent of [this.here, this.there]) agent.cut();
      }
      return true;
    };
    const peer = (agent: TransferAgent): TransferPeer => ({
      id: agent.id,
      name: agent.name,
      async call(op, params, timeoutMs) {
        if (isDead()) throw lost();
        const step = (steps += 1);
        const phase = "phase" in params ? params.phase : undefined;
        if (due(step, "before", phase)) throw lost();
        const result = await agent.call(op, params, timeoutMs);
        if (isDead() || due(step, "after", phase)) throw lost();
        return result;
      },
      async open() {
        if (isDead()) throw lost();
        const channel = await agent.open();
        const write = channel.stream.write.bind(channel.stream) as (data: unknown) => boolean;
        channel.stream.write = ((data: unknown): boolean => {
          const step = (steps += 1);
          if (due(step, "before")) {
            channel.close();
            return false;
          }
          const went = write(data);
          if (due(step, "after")) setImmediate(() => channel.close());
          return went;
        }) as typeof channel.stream.write;
        return channel;
      },
    });
    return { peers: [peer(this.here), peer(this.there)], steps: () => steps };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.here[Symbol.asyncDispose](), this.there[Symbol.asyncDispose]()]);
    rmSync(this.#root, { recursive: true });
  }
}

/** Waits for what an agent does by itself. */
export async function until(what: () => boolean): Promise<void> {
  for (let left = 1_000; !what(); left -= 1) {
    if (left === 0) throw new Error("waited 10 s in vain");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Links, a hole, strange names, odd modes and times. */
function fill(folder: string): void {
  mkdirSync(join(folder, "src/deep"), { recursive: true });
  writeFileSync(join(folder, "src/deep/file"), "text".repeat(10_000));
  writeFileSync(join(folder, "src/ new\nline \\n é"), "odd");
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/latin-`), Buffer.from([0xe9])]), "not UTF-8");
  writeFileSync(join(folder, "-rf"), "dash");
  writeFileSync(join(folder, "hole"), "");
  truncateSync(join(folder, "hole"), 8 * 1024 * 1024);
  symlinkSync("/nowhere/at all", join(folder, "dangling"));
  symlinkSync("src", join(folder, "link"));
  linkSync(join(folder, "src/deep/file"), join(folder, "hard"));
  chmodSync(join(folder, "-rf"), 0o4711);
  mkdirSync(join(folder, "closed"), { mode: 0o500 });
  utimesSync(join(folder, "src/deep"), 1_000_000_000, 1_000_000_000);
}
