import { expect } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "./eventually.js";
import { rpcTo } from "./door.js";
import { recorded } from "./recorded.js";
import { RunningSession } from "./running-session.js";

/** One session on an agent whose Docker is about to suffer. */
export class DockerVictim implements AsyncDisposable {
  private constructor(
    readonly session: RunningSession,
    /** Of the container's first process, on the host. */
    readonly pid: string,
  ) {}

  static async open(): Promise<DockerVictim> {
    const session = await RunningSession.open("docker-victim");
    return new DockerVictim(session, await session.on(`docker inspect -f '{{.State.Pid}}' ${session.container}`));
  }

  /** Runs a script as root on the agent's host. */
  async on(script: string): Promise<string> {
    return await this.session.on(script);
  }

  /** What the agent says of the session now, and how long it took to say it. */
  async says(): Promise<{ state: string; tookMs: number }> {
    await using agent = await rpcTo(this.session.door);
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
    const { id, cluster, container } = this.session;
    const now = await eventually("Docker to know the container", () =>
      this.on(`docker inspect -f '{{.State.Running}} {{.State.Pid}}' ${container} || true`),
    );
    expect(now).toBe(`true ${this.pid}`);
    // Docker can also work with it, which it could not if it had only kept its old notes.
    await eventually(
      "Docker to run a program in it that finds the CLI",
      async () => (await this.session.inside("pgrep", "-c", "-x", "claude")) === "1",
      { timeoutMs: 60_000 },
    );
    // A false event would follow the truth closely.
    await sleep(3_000);
    const events = (await recorded(cluster, this.session.door.agentId)).filter(
      ({ session_id, timestamp }) => session_id === id && Date.parse(timestamp) >= since.getTime(),
    );
    expect(events.map(({ type }) => type).filter((type) => type.startsWith("container."))).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session[Symbol.asyncDispose]();
  }
}
