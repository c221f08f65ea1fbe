import { expect } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Session } from "../../runtime/domain/index.js";
import { acceptanceCluster, type TestCluster } from "./cluster.js";
import { doorOf, eventually, rpcTo, running, type Door } from "./door.js";
import { recorded } from "./recorded.js";

const AGENT = "agent-1";

/** One session on an agent whose Docker is about to suffer. */
export class DockerVictim implements AsyncDisposable {
  private constructor(
    readonly cluster: TestCluster,
    readonly door: Door,
    readonly session: Session,
    /** Of the container's first process, on the host. */
    readonly pid: string,
  ) {}

  static async open(): Promise<DockerVictim> {
    const cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
    const door = await doorOf(cluster, AGENT);
    await using agent = await rpcTo(door);
    const params = { request_id: randomUUID(), name: "docker-victim", start: true };
    const { id } = await agent.rpc.call("create", params, { timeoutMs: 60_000 });
    const session = await running(agent.rpc, id);
    const pid = await cluster.lab.sh(AGENT, `docker inspect -f '{{.State.Pid}}' convocate-session-${id}`);
    return new DockerVictim(cluster, door, session, pid.trim());
  }

  /** Runs a script as root on the agent's host. */
  async on(script: string): Promise<string> {
    return (await this.cluster.lab.sh(AGENT, script, { timeoutMs: 120_000 })).trim();
  }

  /** What the agent says of the session now, and how long it took to say it. */
  async says(): Promise<{ state: string; tookMs: number }> {
    await using agent = await rpcTo(this.door);
    const from = Date.now();
    const { sessions } = await agent.rpc.call("list", {}, { timeoutMs: 60_000 });
    const state = sessions.find(({ id }) => id === this.session.id)?.status.state ?? "not listed";
    return { state, tookMs: Date.now() - from };
  }

  async becomes(state: string): Promise<void> {
    await eventually(`the agent to say ${state}`, async () => (await this.says()).state === state, {
      timeoutMs: 120_000,
      everyMs: 300,
    });
  }

  /** The session's processes went on, its CLI too; the agent says so; and no event says that it ended. */
  async isWhole(since: Date): Promise<void> {
    await this.becomes("running");
    const { id } = this.session;
    const now = await eventually("Docker to know the container", async () => {
      const { stdout } = await this.cluster.lab.exec(AGENT, [
        "docker",
        "inspect",
        "-f",
        "{{.State.Running}} {{.State.Pid}}",
        `convocate-session-${id}`,
      ]);
      return stdout.trim();
    });
    expect(now).toBe(`true ${this.pid}`);
    // Docker can also work with it, which it could not if it had only kept its old notes.
    await eventually(
      "Docker to run a program in it that finds the CLI",
      async () => {
        const argv = ["docker", "exec", `convocate-session-${id}`, "pgrep", "-c", "-x", "claude"];
        return (await this.cluster.lab.exec(AGENT, argv)).stdout.trim() === "1";
      },
      { timeoutMs: 60_000 },
    );
    // A false event would follow the truth closely.
    await sleep(3_000);
    const events = (await recorded(this.cluster, this.door.agentId)).filter(
      ({ session_id, timestamp }) => session_id === id && Date.parse(timestamp) >= since.getTime(),
    );
    expect(events.map(({ type }) => type).filter((type) => type.startsWith("container."))).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using agent = await rpcTo(this.door);
    await agent.rpc.call("delete", { id: this.session.id }, { timeoutMs: 60_000 });
    await this.cluster.close();
  }
}
