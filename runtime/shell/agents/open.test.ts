import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { FakeAgent } from "../../../test/support/fake-agent.js";
import { serveFeed } from "../../../test/support/fake-feed.js";
import { eventually } from "../../../test/support/eventually.js";
import { keyFiles, tempDir } from "../../../test/support/keys.js";
import { startProxy } from "../../../test/support/proxy.js";
import { AgentId, type AgentStatus } from "../../domain/index.js";
import type { Cluster } from "../cluster.js";
import { openCluster } from "./open.js";

jest.setTimeout(60_000);

const A = AgentId.parse("agentaaa");
const B = AgentId.parse("agentbbb");

let cleanup: AsyncDisposableStack;
let dir: string;
const agentKeys = (): string => join(dir, "agent-keys");
const statusSocket = (): string => join(dir, "status.sock");

beforeEach(() => {
  cleanup = new AsyncDisposableStack();
  dir = cleanup.use(tempDir()).path;
  mkdirSync(agentKeys());
});
afterEach(() => cleanup.disposeAsync());

async function startAgent(id: AgentId, name: string, { register = true } = {}): Promise<FakeAgent> {
  const agent = cleanup.use(new FakeAgent(dir, id, name));
  await agent.start();
  if (register) agent.register(agentKeys());
  return agent;
}

async function open(): Promise<Cluster> {
  return cleanup.use(await openCluster({ paths: { agentKeys: agentKeys(), statusSocket: statusSocket() } }));
}

const names = (cluster: Cluster): string[] =>
  cluster
    .sessions()
    .map((view) => view.session.name)
    .sort();
const connected = (cluster: Cluster, id: AgentId): boolean =>
  cluster.agents().some((agent) => agent.id === id && agent.connection.state === "connected");

describe("a cluster", () => {
  test("shows the sessions of every agent that answers, without waiting for one that does not", async () => {
    const one = await startAgent(A, "agent-1");
    one.addSession("first");
    one.addSession("second");
    const two = await startAgent(B, "agent-2");
    two.addSession("third");
    await two.stop();
    const cluster = await open();
    await cluster.refresh({ timeoutMs: 5000 });
    expect(names(cluster)).toEqual(["first", "second"]);
    expect(cluster.agents()).toMatchObject([
      {
        id: A,
        name: "agent-1",
        connection: { state: "connected" },
        release: "3.0.0",
        image: "convocate:1.0.0",
        heard: null,
      },
      {
        id: B,
        name: "agent-2",
        connection: { state: "connecting", error: expect.stringContaining("refused") },
        release: null,
      },
    ]);
    expect(one.calls).toEqual(["ping", "list"]);

    await two.start();
    await eventually("the agent that came up later", () => names(cluster).includes("third"));
  });

  test("one hung agent does not hold up the others, and its sessions stay known as not reachable", async () => {
    const one = await startAgent(A, "agent-1");
    const two = await startAgent(B, "agent-2");
    one.addSession("first");
    two.addSession("second");
    const cluster = await open();
    await cluster.refresh();
    two.before = (op) =>
      op === "list" ? new Promise((resolve) => setTimeout(resolve, 20_000).unref()) : Promise.resolve();
    one.addSession("third");
    const before = performance.now();
    await cluster.refresh({ timeoutMs: 500 });
    expect(performance.now() - before).toBeLessThan(10_000);
    expect(names(cluster)).toEqual(["first", "second", "third"]);
    await eventually("marked", () =>
      cluster.sessions().some((view) => view.session.name === "second" && !view.reachable),
    );
  });

  test("keeps the last known sessions of an agent that went away, and reaches it again after its restart", async () => {
    const agent = await startAgent(A, "agent-1");
    agent.addSession("first");
    const cluster = await open();
    await cluster.refresh();
    await agent.stop();
    await eventually("not reachable", () => cluster.sessions()[0]?.reachable === false);
    expect(names(cluster)).toEqual(["first"]);
    await agent.start();
    await eventually("reachable again", () => cluster.sessions()[0]?.reachable === true, { timeoutMs: 20_000 });
  });

  test("follows the folder of agents: one added, one taken away", async () => {
    const one = await startAgent(A, "agent-1");
    const cluster = await open();
    await cluster.refresh();
    const two = await startAgent(B, "agent-2");
    await eventually("added", () => connected(cluster, B), { timeoutMs: 5000 });
    one.unregister(agentKeys());
    await eventually("taken away", () => cluster.agents().length === 1, { timeoutMs: 5000 });
    expect(cluster.agents()[0]?.name).toBe(two.name);
    await eventually("its connection closed", () => one.attached === 0);
  });

  test("a folder that is half written harms nobody and works once it is complete", async () => {
    await startAgent(A, "agent-1");
    const two = await startAgent(B, "agent-2", { register: false });
    mkdirSync(join(agentKeys(), B));
    const cluster = await open();
    await cluster.refresh();
    expect(cluster.agents().map((agent) => agent.id)).toEqual([A]);
    two.register(agentKeys());
    await eventually("complete", () => connected(cluster, B), { timeoutMs: 5000 });
  });

  test("its own operations show at once, and errors carry the agent's code and name", async () => {
    const agent = await startAgent(A, "agent-1");
    const cluster = await open();
    await cluster.refresh();
    const created = await cluster.create(A, { name: "new", start: true, port: -1 });
    expect(created).toMatchObject({ name: "new", port: 1001, status: { state: "running" } });
    expect(names(cluster)).toEqual(["new"]);
    await expect(cluster.restart(created.id)).rejects.toMatchObject({
      code: "SESSION_RUNNING",
      message: "agent agent-1: session new runs already: use --force",
    });
    expect((await cluster.kill(created.id)).status.state).toBe("stopped");
    expect(cluster.sessions()[0]?.session.status.state).toBe("stopped");
    expect(await cluster.background(created.id)).toBe(0);
    await cluster.delete(created.id);
    expect(cluster.sessions()).toEqual([]);
    await expect(cluster.kill(created.id)).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    expect(agent.sessions.size).toBe(0);
  });

  test("a create whose connection breaks is sent again with the same request id, and makes one session", async () => {
    const agent = await startAgent(A, "agent-1", { register: false });
    const proxy = cleanup.use(await startProxy(() => agent.port));
    agent.register(agentKeys(), proxy.port);
    const cluster = await open();
    await cluster.refresh();
    let broken = false;
    agent.before = async (op) => {
      if (op !== "create" || broken) return;
      broken = true;
      proxy.cut();
      proxy.mend();
    };
    const created = await cluster.create(A, { name: "once" });
    const creates = agent.calls.filter((call) => call.startsWith("create:"));
    expect(creates).toHaveLength(2);
    expect(new Set(creates).size).toBe(1);
    expect([...agent.sessions.keys()]).toEqual([created.id]);
  });

  test("hears from convocate-status who is connected, and lists an agent again when something happened there", async () => {
    const agent = await startAgent(A, "agent-1");
    const status: AgentStatus = {
      agent_id: A,
      name: "agent-1",
      connection: "connected",
      since: "2026-11-21T00:00:00.000Z",
      last_heartbeat_at: "2026-11-21T00:00:01.000Z",
      release: "3.0.0",
      image: null,
      sessions: { total: 0, running: 0, attached: 0 },
    };
    const cluster = await open();
    await cluster.refresh();
    expect(cluster.agents()[0]?.heard).toBeNull();
    // It comes up after the cluster was opened, as after an update of the shell host.
    const feed = cleanup.use(await serveFeed(statusSocket(), { agents: () => [status] }));
    await eventually("heard", () => cluster.agents()[0]?.heard?.connection === "connected", { timeoutMs: 5000 });
    const session = agent.addSession("made-elsewhere");
    feed.publish({
      kind: "event",
      event: {
        seq: 1,
        stream: "s",
        type: "container.created",
        agent_id: A,
        session_id: session.id,
        timestamp: status.since,
        data: {},
      },
    });
    await eventually("listed again", () => names(cluster).includes("made-elsewhere"), { timeoutMs: 3000 });
    await feed.close();
    await eventually("heard no more", () => cluster.agents()[0]?.heard === null);
  });

  test("an agent that never answered shows what convocate-status knows it listed last, until it lists itself", async () => {
    const agent = await startAgent(A, "agent-1");
    const before = agent.addSession("before");
    await agent.stop();
    cleanup.use(
      await serveFeed(statusSocket(), {
        answer: async function* (line) {
          expect(JSON.parse(line)).toEqual({ kind: "sessions", agent_id: A });
          yield { kind: "sessions", agent_id: A, listed_at: "2026-11-21T00:00:00Z", sessions: [before] };
        },
      }),
    );
    const cluster = await open();
    await cluster.refresh({ timeoutMs: 2000 });
    expect(cluster.sessions()).toMatchObject([{ session: { name: "before" }, reachable: false }]);
    agent.sessions.clear();
    agent.addSession("after");
    await agent.start();
    await eventually("its own list", () => String(names(cluster)) === "after", { timeoutMs: 20_000 });
  });

  test("a wrong host key shows with both fingerprints, and is never worked around", async () => {
    const agent = await startAgent(A, "agent-1", { register: false });
    agent.register(agentKeys());
    const other = keyFiles(join(agentKeys(), A), "other", "other");
    const { writeFileSync } = await import("node:fs");
    writeFileSync(join(agentKeys(), A, "host_key.pub"), `${other.publicKey}\n`);
    const cluster = await open();
    await cluster.refresh();
    const [view] = cluster.agents();
    const error = view?.connection.state === "connecting" ? (view.connection.error ?? "") : "";
    expect(error.match(/SHA256:/g)).toHaveLength(2);
    await expect(cluster.create(A, { name: "never" })).rejects.toMatchObject({ code: "HOST_KEY_MISMATCH" });
  });

  test("tells its listeners once for many changes, and nothing after it is closed", async () => {
    const agent = await startAgent(A, "agent-1");
    const cluster = await open();
    await cluster.refresh();
    let told = 0;
    cluster.subscribe(() => (told += 1));
    for (let i = 0; i < 5; i += 1) agent.addSession(`s${i}`);
    await cluster.refresh();
    await eventually("told", () => told > 0);
    expect(told).toBeLessThan(4);
    await cluster[Symbol.asyncDispose]();
    const before = told;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(told).toBe(before);
  });
});
