import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../../test/support/eventually.js";
import { tempDir } from "../../../test/support/keys.js";
import { AgentId, newSessionId, type AgentEvent } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { NameAuthority } from "./authority.js";
import { SessionFollower } from "./follow.js";
import { parseHostsFile } from "./records.js";

const A = AgentId.parse("agentaaa");
const B = AgentId.parse("agentbbb");
let cleanup: AsyncDisposableStack;
let dir: string;
let path: string;
let reloads: string[];
let failReload: boolean;

beforeEach(() => {
  cleanup = new AsyncDisposableStack();
  dir = cleanup.use(tempDir()).path;
  path = join(dir, "state", "hosts");
  mkdirSync(join(dir, "state"));
  reloads = [];
  failReload = false;
});
afterEach(() => cleanup.disposeAsync());

async function authority(
  resolve: (host: string) => Promise<string[]> = async () => ["192.0.2.99"],
): Promise<NameAuthority> {
  const names = cleanup.use(
    new NameAuthority({
      path,
      log: silentLog,
      resolve,
      reload: async () => {
        if (failReload) throw new Error("no dnsmasq");
        reloads.push(readFileSync(path, "utf8"));
      },
    }),
  );
  await names.load();
  return names;
}

const served = (): string[] => {
  try {
    return parseHostsFile(readFileSync(path, "utf8")).map(({ name, addresses }) => `${name} ${addresses.join(" ")}`);
  } catch {
    return [];
  }
};
const becomes = (wanted: string[]): Promise<unknown> =>
  eventually(`to be served: ${wanted.join(", ")}`, () => String(served()) === String(wanted), { timeoutMs: 5000 });

test("a name appears, moves with its agent and disappears, each written whole and told to dnsmasq", async () => {
  const names = await authority();
  const id = newSessionId();
  await names.agentAt(A, "192.0.2.1");
  names.sessionNamed(A, id, "web");
  await becomes(["web 192.0.2.1"]);
  expect(statSync(path).mode & 0o777).toBe(0o644);
  await names.agentAt(A, "agent.example");
  await becomes(["web 192.0.2.99"]);
  names.sessionsOf(A, [{ id, dns_name: "api" }]);
  await becomes(["api 192.0.2.99"]);
  names.sessionsOf(A, [{ id, dns_name: null }]);
  await becomes([]);
  await eventually("reloads", () => reloads.length >= 4);
  expect(reloads.at(-1)).toBe(readFileSync(path, "utf8"));
});

test("after a restart the names of agents that do not answer are still served, those of agents taken away are not", async () => {
  const first = await authority();
  const [one, two] = [newSessionId(), newSessionId()];
  await first.agentAt(A, "192.0.2.1");
  await first.agentAt(B, "192.0.2.2");
  first.sessionsOf(A, [{ id: one, dns_name: "one" }]);
  first.sessionsOf(B, [{ id: two, dns_name: "two" }]);
  await becomes(["one 192.0.2.1", "two 192.0.2.2"]);
  await first[Symbol.asyncDispose]();

  const again = await authority(async () => {
    throw new Error("the resolver is away");
  });
  await again.agentAt(A, "one.example");
  again.keepOnly(new Set([A]));
  await becomes(["one 192.0.2.1"]);
  again.forgetAgent(A);
  await becomes([]);
});

test("of two sessions that claim one name the first keeps it, and the other gets it when the first is gone", async () => {
  const names = await authority();
  const [one, two] = [newSessionId(), newSessionId()];
  await names.agentAt(A, "192.0.2.1");
  await names.agentAt(B, "192.0.2.2");
  names.sessionNamed(A, one, "web");
  names.sessionNamed(B, two, "web");
  await becomes(["web 192.0.2.1"]);
  names.sessionNamed(A, one, null);
  await becomes(["web 192.0.2.2"]);
});

test("what cannot be written or told is tried again until it is", async () => {
  const names = await authority();
  await names.agentAt(A, "192.0.2.1");
  failReload = true;
  rmSync(join(dir, "state"), { recursive: true });
  names.sessionNamed(A, newSessionId(), "web");
  await new Promise((resolve) => setTimeout(resolve, 300));
  mkdirSync(join(dir, "state"));
  await becomes(["web 192.0.2.1"]);
  expect(reloads).toEqual([]);
  failReload = false;
  await eventually("told dnsmasq after all", () => reloads.length > 0, { timeoutMs: 5000 });
});

test("an event names a session at once; one without the name changes nothing by itself", async () => {
  const names = await authority();
  using follower = new SessionFollower(names, () => undefined, silentLog);
  const id = newSessionId();
  await names.agentAt(A, "192.0.2.1");
  const event = (type: string, data: Record<string, unknown>): AgentEvent => ({
    seq: 1,
    stream: "s",
    type,
    agent_id: A,
    session_id: id,
    timestamp: "2026-11-21T00:00:00Z",
    data,
  });
  follower.heard(event("container.created", { name: "web", dns_name: "Web.Example" }));
  await becomes(["web.example 192.0.2.1"]);
  follower.heard(event("container.edited", { name: "other" }));
  follower.heard(event("container.started", { dns_name: null }));
  follower.heard(event("container.edited", { dns_name: "bad_name" }));
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(served()).toEqual(["web.example 192.0.2.1"]);
  follower.heard(event("container.deleted", {}));
  await becomes([]);
});
