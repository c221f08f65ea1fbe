import { randomUUID } from "node:crypto";
import type { Session } from "../../runtime/domain/index.js";
import { acceptanceCluster, type TestCluster } from "./cluster.js";
import { doorOf, rpcTo, running, type Door } from "./door.js";

const AGENT = "agent-1";

/** A session of one test file, started on an agent of the cluster that acceptance tests share; deleted at the file's end. */
export class RunningSession implements AsyncDisposable {
  readonly container: string;

  private constructor(
    readonly cluster: TestCluster,
    readonly door: Door,
    readonly session: Session,
  ) {
    this.container = `convocate-session-${session.id}`;
  }

  static async open(name: string): Promise<RunningSession> {
    const cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
    const door = await doorOf(cluster, AGENT);
    await using agent = await rpcTo(door);
    const params = { request_id: randomUUID(), name, start: true };
    const { id } = await agent.rpc.call("create", params, { timeoutMs: 120_000 });
    return new RunningSession(cluster, door, await running(agent.rpc, id));
  }

  get id(): Session["id"] {
    return this.session.id;
  }

  async status(): Promise<Session["status"]> {
    await using agent = await rpcTo(this.door);
    return (await agent.rpc.call("get", { id: this.id })).status;
  }

  /** Runs a script as root on the agent's host. */
  async on(script: string): Promise<string> {
    return (await this.cluster.lab.sh(AGENT, script, { timeoutMs: 120_000 })).trim();
  }

  /** Runs a program in the container, as the session's user; whatever it ends with. */
  async inside(...argv: string[]): Promise<string> {
    const inContainer = ["docker", "exec", "-u", "1337", this.container, ...argv];
    return (await this.cluster.lab.exec(AGENT, inContainer)).stdout.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using agent = await rpcTo(this.door);
    await agent.rpc.call("delete", { id: this.id }, { timeoutMs: 60_000 });
    await this.cluster.close();
  }
}
