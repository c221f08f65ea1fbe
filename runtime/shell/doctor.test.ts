import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FakeAgent } from "../../test/support/fake-agent.js";
import { tempDir } from "../../test/support/keys.js";
import { AgentId } from "../domain/index.js";
import { openCluster } from "./agents/open.js";
import type { Cluster } from "./cluster.js";
import { diagnose, type Check, type DoctorOptions } from "./doctor.js";

const A = AgentId.parse("agentaaa");
const B = AgentId.parse("agentbbb");
let cleanup: AsyncDisposableStack;
let dir: string;
let one: FakeAgent;
let two: FakeAgent;

beforeEach(async () => {
  cleanup = new AsyncDisposableStack();
  dir = cleanup.use(tempDir()).path;
  mkdirSync(join(dir, "logs"));
  one = cleanup.use(new FakeAgent(dir, A, "agent-1"));
  two = cleanup.use(new FakeAgent(dir, B, "agent-2"));
  for (const agent of [one, two]) {
    await agent.start();
    agent.register(join(dir, "agent-keys"));
  }
});
afterEach(() => cleanup.disposeAsync());

async function checks(
  options: Partial<DoctorOptions> = {},
): Promise<(subject: string, check: string) => Check | undefined> {
  const paths = {
    agentKeys: join(dir, "agent-keys"),
    statusSocket: join(dir, "none"),
    dnsmasqHosts: join(dir, "none"),
  };
  const cluster: Cluster = cleanup.use(await openCluster({ paths, orphans: null }));
  await cluster.refresh({ timeoutMs: 3000 });
  const found = await diagnose(cluster, {
    release: "3.0.0",
    status: { store: { state: "ok" } },
    paths: { logs: join(dir, "logs") },
    resolve: async () => ["192.0.2.1"],
    ...options,
  });
  for (const { state, mend } of found) expect(mend === null).toBe(state === "ok");
  return (subject, check) => found.find((one) => one.subject === subject && one.check === check);
}

test("what is well is ok, and what is not says what mends it", async () => {
  one.addSession("web", { dns_name: "web.example" });
  writeFileSync(join(dir, "logs", `${A}.log`), "a line\n");
  await two.stop();
  const of = await checks();
  expect(of("shell", "convocate-status")).toMatchObject({ state: "ok" });
  expect(of("shell", "dns")).toMatchObject({ state: "ok", message: "1 of 1 names asked for, all resolve" });
  expect(of("agent-1", "answers")).toMatchObject({ state: "ok" });
  expect(of("agent-1", "logs")).toMatchObject({ state: "ok" });
  expect(of("agent-1", "capacity")).toMatchObject({ state: "warn", mend: "convocate-host update --host agent-1" });
  expect(of("agent-2", "answers")).toMatchObject({ state: "fail", message: expect.stringContaining("refused") });
  expect(of("agent-2", "image")).toBeUndefined();
});

test("a store that fails, names that do not resolve, another release, a log that stopped and a full agent are told", async () => {
  one.addSession("web", { dns_name: "web.example" });
  one.capacity = {
    total: { cpus: 4, memory_bytes: 100, disk_bytes: 100 },
    allowed: { cpus: 3.6, memory_bytes: 90, disk_bytes: 90 },
    pledged: { cpus: 4, memory_bytes: 0, disk_bytes: 0, sessions: 9 },
    used: { cpus: null, memory_bytes: null, disk_bytes: null },
    warnings: ["cgroup v1"],
    cordoned: false,
  };
  const log = join(dir, "logs", `${A}.log`);
  writeFileSync(log, "");
  utimesSync(log, 0, 0);
  const of = await checks({
    release: "3.1.0",
    status: { store: { state: "failing", error: "disk is full", since: "2026-11-21T00:00:00Z" } },
    resolve: async () => {
      throw new Error("no such name");
    },
  });
  expect(of("shell", "convocate-status")).toMatchObject({
    state: "fail",
    message: expect.stringContaining("disk is full"),
  });
  expect(of("shell", "dns")).toMatchObject({ state: "fail", message: "no address for web.example" });
  expect(of("shell", "release")).toMatchObject({ state: "warn", message: expect.stringContaining("agent-1 3.0.0") });
  expect(of("agent-1", "logs")).toMatchObject({ state: "warn" });
  expect(of("agent-1", "capacity")).toMatchObject({ state: "warn", message: expect.stringContaining("cpus") });
  expect(of("agent-1", "host")).toMatchObject({ state: "warn", message: "cgroup v1" });
  expect((await checks({ status: { error: "gone" } }))("shell", "convocate-status")).toMatchObject({ state: "fail" });
});
