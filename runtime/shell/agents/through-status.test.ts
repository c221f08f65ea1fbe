import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../../../test/support/eventually.js";
import { serveFeed } from "../../../test/support/fake-feed.js";
import { FakeAgent } from "../../../test/support/fake-agent.js";
import { keyFiles, tempDir } from "../../../test/support/keys.js";
import { AgentId, type FeedLine } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import type { Cluster } from "../cluster.js";
import { NameAuthority, SessionFollower } from "../dns/index.js";
import { keepConnections, serveStatus } from "../status/index.js";
import { openCluster, type ClusterOptions } from "./open.js";

jest.setTimeout(60_000);

const A = AgentId.parse("agentaaa");
const B = AgentId.parse("agentbbb");
/** Nobody listens there. */
const NOWHERE = 9;

let cleanup: AsyncDisposableStack;
let dir: string;
let one: FakeAgent;
let two: FakeAgent;
/** Agents as convocate-status knows them, and as the client does: a test may let them differ. */
const folder = (whose: "status" | "client"): string => join(dir, whose);
const socket = (): string => join(dir, "status.sock");
const toBoth = (agent: FakeAgent): void => {
  agent.register(folder("status"));
  agent.register(folder("client"));
};
/** The client knows of it, but at an address that leads nowhere. */
const onlyToStatus = (agent: FakeAgent): void => {
  agent.register(folder("status"));
  agent.register(folder("client"), NOWHERE);
};

beforeEach(async () => {
  cleanup = new AsyncDisposableStack();
  dir = cleanup.use(tempDir()).path;
  mkdirSync(folder("status"));
  mkdirSync(folder("client"));
  one = cleanup.use(new FakeAgent(dir, A, "agent-1"));
  two = cleanup.use(new FakeAgent(dir, B, "agent-2"));
  await Promise.all([one.start(), two.start()]);
  one.addSession("first");
  two.addSession("second");
});
afterEach(() => cleanup.disposeAsync());

/** The real one, connected to each agent of its folder. */
async function startStatus(): Promise<void> {
  keyFiles(dir, "host", "status");
  writeFileSync(join(dir, "authorized"), "");
  const names = cleanup.use(
    new NameAuthority({ path: join(dir, "dnsmasq-hosts"), reload: async () => undefined, log: silentLog }),
  );
  const connected = new Set<AgentId>();
  const follower = cleanup.use(new SessionFollower(names, (id) => void connected.add(id), silentLog));
  cleanup.use(
    await serveStatus({
      paths: {
        hostKey: join(dir, "host"),
        authorizedKeys: join(dir, "authorized"),
        statusDb: join(dir, "state", "status.db"),
        statusSocket: socket(),
      },
      port: 0,
      address: "127.0.0.1",
      gid: null,
      log: silentLog,
      list: () => follower.listNow(),
    }),
  );
  const expected = new Set<AgentId>();
  cleanup.use(
    await keepConnections({
      directory: folder("status"),
      log: silentLog,
      onAgent: (id) => void expected.add(id),
      onUp: (id, connection) => follower.connected(id, connection),
    }),
  );
  await eventually("convocate-status is connected", () => connected.size === expected.size);
  one.calls.length = 0;
  two.calls.length = 0;
}

async function open(connect: NonNullable<ClusterOptions["connect"]>): Promise<Cluster> {
  const paths = { agentKeys: folder("client"), statusSocket: socket() };
  return cleanup.use(await openCluster({ paths, connect, orphans: null }));
}

const names = (cluster: Cluster): string[] =>
  cluster
    .sessions()
    .filter(({ reachable }) => reachable)
    .map(({ session }) => session.name)
    .sort();
const states = (cluster: Cluster): string[] => cluster.agents().map(({ connection }) => connection.state);

test("convocate-status asks the agents over its own connections, and nobody else dials them", async () => {
  onlyToStatus(one);
  onlyToStatus(two);
  await startStatus();
  const cluster = await open("when-needed");
  await cluster.refresh();
  expect(names(cluster)).toEqual(["first", "second"]);
  expect(cluster.agents()).toMatchObject([
    { id: A, connection: { state: "connected" }, release: "3.0.0", image: "convocate:1.0.0" },
    { id: B, connection: { state: "connected" } },
  ]);
  one.addSession("third");
  await cluster.refresh();
  expect(names(cluster)).toEqual(["first", "second", "third"]);
});

test("an agent that convocate-status is not connected to is dialled, and says itself why it cannot be reached", async () => {
  onlyToStatus(one);
  two.register(folder("client"));
  await startStatus();
  const cluster = await open("when-needed");
  await cluster.refresh();
  expect(names(cluster)).toEqual(["first", "second"]);
  await two.stop();
  await eventually("lost", () => states(cluster)[1] === "connecting");
  await cluster.refresh();
  expect(cluster.agents()).toMatchObject([
    { connection: { state: "connected" } },
    { connection: { state: "connecting", error: expect.stringContaining("refused") } },
  ]);
});

test("an operation dials the session's agent and no other", async () => {
  onlyToStatus(one);
  toBoth(two);
  await startStatus();
  const cluster = await open("when-needed");
  await cluster.refresh();
  const second = cluster.sessions().find(({ session }) => session.name === "second")!.session;
  expect((await cluster.kill(second.id)).status.state).toBe("stopped");
  expect(states(cluster)).toEqual(["connected", "connected"]);
  await cluster.refresh();
  expect(cluster.sessions().map(({ session }) => session.status.state)).toEqual(["running", "stopped"]);
});

test("who is asked by name is dialled, whatever convocate-status says, and nobody else is", async () => {
  onlyToStatus(one);
  toBoth(two);
  await startStatus();
  const cluster = await open("when-needed");
  await cluster.refresh({ agents: [A] });
  expect(cluster.agents()).toMatchObject([
    { id: A, connection: { state: "connecting", error: expect.stringContaining("refused") } },
    { id: B, connection: { state: "connecting" } },
  ]);
  expect(two.calls).toEqual([]);
});

test("one hung agent keeps no list of another back", async () => {
  toBoth(one);
  toBoth(two);
  await startStatus();
  two.before = (op) => (op === "list" ? sleep(20_000, undefined, { ref: false }) : Promise.resolve());
  const cluster = await open("when-needed");
  const listed = cluster.refresh({ timeoutMs: 500 });
  await eventually("the other's list", () => names(cluster).includes("first"));
  expect(names(cluster)).toEqual(["first"]);
  await listed;
  expect(names(cluster)).toEqual(["first"]);
  expect(states(cluster)).toEqual(["connected", "connecting"]);
});

test("a TUI is connected itself once it has its first list", async () => {
  toBoth(one);
  toBoth(two);
  await startStatus();
  const cluster = await open("after-list");
  await cluster.refresh();
  expect(names(cluster)).toEqual(["first", "second"]);
  expect(one.calls).toEqual(["ping", "list"]);
  await eventually("its own connection", () => one.calls.filter((call) => call === "list").length === 2);
  // What was heard through convocate-status does not outlive what our own connection says.
  await one.stop();
  await eventually("not reachable", () => String(names(cluster)) === "second");
});

test.each([
  [
    "of an earlier release",
    async function* () {
      yield { kind: "error", error: "not a request that this convocate-status knows" } as const;
    },
  ],
  [
    "that hangs",
    async function* () {
      await sleep(20_000, undefined, { ref: false });
      yield { kind: "listed" } as const;
    },
  ],
  ["that is not there", null],
] satisfies [string, (() => AsyncGenerator<FeedLine>) | null][])(
  "with a convocate-status %s, every agent is dialled",
  async (_what, answer) => {
    for (const agent of [one, two]) agent.register(folder("client"));
    if (answer) cleanup.use(await serveFeed(socket(), { answer }));
    for (const connect of ["when-needed", "after-list"] as const) {
      const cluster = await open(connect);
      await cluster.refresh();
      expect(names(cluster)).toEqual(["first", "second"]);
    }
  },
);
