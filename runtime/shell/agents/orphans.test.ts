import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { leaveFormer } from "../../../test/agent/former-host.js";
import { FakeAgent } from "../../../test/support/fake-agent.js";
import { tempDir } from "../../../test/support/keys.js";
import { AgentId, newSessionId, statusCharacter, type SessionId } from "../../domain/index.js";
import type { Cluster } from "../cluster.js";
import { openCluster } from "./open.js";

const A = AgentId.parse("agentaaa");
let cleanup: AsyncDisposableStack;
let dir: string;
let home: string;
let agent: FakeAgent;

beforeEach(async () => {
  cleanup = new AsyncDisposableStack();
  dir = cleanup.use(tempDir()).path;
  home = join(dir, "home");
  mkdirSync(home);
  agent = cleanup.use(new FakeAgent(dir, A, "agent-1"));
  await agent.start();
  agent.register(join(dir, "agent-keys"));
});
afterEach(() => cleanup.disposeAsync());

async function open(): Promise<Cluster> {
  const paths = {
    agentKeys: join(dir, "agent-keys"),
    statusSocket: join(dir, "none"),
    dnsmasqHosts: join(dir, "hosts"),
  };
  const cluster = cleanup.use(await openCluster({ paths, orphans: home }));
  await cluster.refresh();
  return cluster;
}

const orphan = (change: Record<string, unknown> = {}, id?: SessionId): SessionId =>
  leaveFormer(home, { port: 1003, protocol: "udp", dns_name: "old.example", ...change }, id);

test("a former session's directory is listed as an orphan, what only looks like one is not", async () => {
  const id = orphan();
  const odd = orphan({ name: "a b\u001b[2J", port: "x", dns_name: undefined, created_at: 1 });
  orphan({ uuid: newSessionId() });
  mkdirSync(join(home, newSessionId()));
  mkdirSync(join(home, "not-a-uuid"));
  symlinkSync(join(home, id), join(home, newSessionId()));
  const found = (await open()).sessions();
  expect(found.map((view) => view.session.id).sort()).toEqual([id, odd].sort());
  const session = found.find((view) => view.session.id === id)!.session;
  expect(session).toMatchObject({
    name: "old",
    port: 1003,
    protocol: "udp",
    dns_name: "old.example",
    created_at: "2025-01-02T03:04:05.123456789+01:00",
    status: { state: "orphan", path: join(home, id) },
  });
  expect(statusCharacter(session.status)).toBe("O");
  expect(found.find((view) => view.session.id === odd)!.session.name).toMatch(/^[A-Za-z0-9_-]+$/);
});

test("every operation that writes is refused with the command that migrates it", async () => {
  const id = orphan();
  const cluster = await open();
  const refused = { code: "ORPHAN_NEEDS_MIGRATION", exitCode: 4, message: expect.stringContaining(`--session ${id}`) };
  for (const attempt of [
    cluster.kill(id),
    cluster.restart(id),
    cluster.background(id),
    cluster.edit(id, { name: "new" }),
    cluster.clone(id, { name: "copy" }),
    cluster.override(id),
  ])
    await expect(attempt).rejects.toMatchObject(refused);
  expect(existsSync(join(home, id, "session.json"))).toBe(true);
});

test("delete takes it away here, and touches no agent", async () => {
  const id = orphan();
  const kept = orphan({ name: "kept" });
  const cluster = await open();
  await cluster.delete(id);
  expect(cluster.sessions().map((view) => view.session.id)).toEqual([kept]);
  expect(readdirSync(home)).toEqual([kept]);
  expect(agent.calls).not.toContain("delete");
});

test("a DNS name of another session is refused before any agent is asked, also one of an agent that is silent", async () => {
  const other = AgentId.parse("agentbbb");
  const silent = cleanup.use(new FakeAgent(dir, other, "agent-2"));
  await silent.start();
  silent.register(join(dir, "agent-keys"));
  await silent.stop();
  const web = agent.addSession("web", { dns_name: "web.example" });
  const [away, gone] = [newSessionId(), newSessionId()];
  writeFileSync(
    join(dir, "hosts"),
    `192.0.2.1 away # ${other} ${away}\n192.0.2.1 gone # ${A} ${gone}\n192.0.2.1 web.example # ${A} ${web.id}\n`,
  );
  const cluster = await open();
  await expect(cluster.create(A, { name: "x", dns_name: "Web.Example" })).rejects.toMatchObject({
    code: "DNS_NAME_TAKEN",
    message: expect.stringContaining("session web on agent-1"),
  });
  await expect(cluster.create(A, { name: "x", dns_name: "away" })).rejects.toMatchObject({ code: "DNS_NAME_TAKEN" });
  expect(agent.calls.some((call) => call.startsWith("create"))).toBe(false);
  // What a reachable agent does not list any more is free, whatever dnsmasq still serves.
  await cluster.create(A, { name: "x", dns_name: "gone" });
  // Its own name is no clash.
  await cluster.edit(web.id, { dns_name: "web.example" });
});
