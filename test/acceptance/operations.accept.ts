import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import type { Session, SessionId } from "../../runtime/domain/index.js";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { doorOf, rpcTo, running, type Door } from "../support/door.js";

const METADATA = "/var/lib/convocate-agent/sessions";
const SLOW = { timeoutMs: 120_000 };

let cluster: TestCluster;
let door: Door;
let agent: Awaited<ReturnType<typeof rpcTo>>;
/** Of a real session, which runs. */
let source: Session;
const made = new Set<SessionId>();

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  door = await doorOf(cluster, "agent-2");
  agent = await rpcTo(door);
  source = await create({ name: "operated", start: true });
  await running(agent.rpc, source.id);
}, 1_200_000);

afterAll(async () => {
  await cluster.lab.sh("agent-2", "systemctl kill --kill-whom=main -s CONT docker");
  await Promise.all([...made].map((id) => agent.rpc.call("delete", { id }, SLOW)));
  await agent[Symbol.asyncDispose]();
  await cluster.close();
}, 180_000);

async function create(change: { name: string; port?: number; start?: boolean }): Promise<Session> {
  const session = await agent.rpc.call("create", { request_id: randomUUID(), ...change }, SLOW);
  made.add(session.id);
  return session;
}

/** Runs a script on the agent's host; its arguments are $1, $2, …. */
async function script(text: string, ...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await cluster.lab.exec("agent-2", ["bash", "-euc", text, "-", ...args], SLOW);
  if (exitCode !== 0) throw new Error(`ended with ${exitCode}: ${stderr}\n${text}`);
  return stdout;
}

/** The same in the mounts that the agent sees. */
const inAgent = (text: string, ...args: string[]): Promise<string> =>
  script(
    `exec nsenter -t "$(systemctl show -p MainPID --value convocate-agent)" -m bash -euc "$@"`,
    text,
    "-",
    ...args,
  );

/** Everything that a copy must keep of a tree: types, names, modes, owners, times, links, contents (of small files). */
const treeHash = (path: string): Promise<string> =>
  script(
    `cd "$1"
    { find . ! -type s ! -type p -printf '%P|%y|%m|%U:%G|%T@|%l|%n\\n' | sort
      find . -type f -size -1M -print0 | sort -z | xargs -0 sha256sum; } | sha256sum`,
    path,
  );

test("a running session is cloned: sockets and FIFOs left out and named, all else the same, a hole stays a hole", async () => {
  const home = `/home/claude/${source.id}`;
  await script(
    `umask 022; mkdir -p "$1/work/deep"; cd "$1/work"
    echo text > file; chmod 4751 file; ln file hard; ln -s /nowhere dangling; ln -s file link
    truncate -s 2G sparse; printf end | dd of=sparse bs=1 seek=1G conv=notrunc status=none
    mkfifo pipe
    perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; bind($s, sockaddr_un("deep/socket")) or die $!'
    touch -d @1234567890.125 file; touch -h -d @1000000000 dangling; touch -d @1111111111 deep
    chown -hR 1337:1337 .`,
    home,
  );
  const request = { id: source.id, name: "operated-copy", request_id: randomUUID() };
  const { session, skipped } = await agent.rpc.call("clone", request, SLOW);
  made.add(session.id);
  expect(session).toMatchObject({ name: "operated-copy", port: 0, status: { state: "stopped" } });
  expect(skipped).toEqual(
    expect.arrayContaining([
      { path: "work/pipe", kind: "fifo" },
      { path: "work/deep/socket", kind: "socket" },
    ]),
  );
  const copy = `/home/claude/${session.id}`;
  expect(await treeHash(`${copy}/work`)).toBe(await treeHash(`${home}/work`));
  expect(await script(`tail -c +1073741825 "$1/work/sparse" | head -c 3`, copy)).toBe("end");
  expect((await script(`find "$1" '(' -type s -o -type p ')'`, copy)).trim()).toBe("");
  const [size, blocks] = (await script(`stat -c '%s %b' "$1/work/sparse"`, copy)).split(" ").map(Number);
  expect(size).toBe(2 * 1024 ** 3);
  expect((blocks ?? Infinity) * 512).toBeLessThan(1024 ** 2);
  expect(await script(`stat -c '%u:%g %a' "$1"`, copy)).toBe(await script(`stat -c '%u:%g %a' "$1"`, home));
  expect((await agent.rpc.call("get", { id: source.id })).status.state).toBe("running");
  expect((await agent.rpc.call("clone", request, SLOW)).session.id).toBe(session.id);
}, 300_000);

test("an edit says restart to apply until the restart, and what a session writes is in its log", async () => {
  const edited = await agent.rpc.call("edit", { id: source.id, limits: { pids: 500 } }, SLOW);
  expect(edited).toMatchObject({ restart_to_apply: true, limits: { pids: 500 } });
  const request = { id: source.id, force: true, request_id: randomUUID() };
  const first = await agent.rpc.call("restart", request, SLOW);
  expect(first.restart_to_apply).toBe(false);
  const again = await agent.rpc.call("restart", { ...request, force: false }, SLOW);
  expect(again.status).toMatchObject({ state: "running" });
  const name = `convocate-session-${source.id}`;
  expect((await script(`docker inspect -f '{{.HostConfig.PidsLimit}}' "$1"`, name)).trim()).toBe("500");
  const word = randomUUID();
  await script(`docker exec -u 0 "$1" sh -c 'printf "\\033[31m%s\\033[0m\\n" "$0" > /proc/1/fd/1' "$2"`, name, word);
  const line = await eventually("the line in the session's log", async () =>
    (await agent.rpc.call("logs", { id: source.id }, SLOW)).lines.find(({ text }) => text.includes(word)),
  );
  expect(line.text).toBe(word);
  const after = await agent.rpc.call("logs", { id: source.id, after: line.timestamp }, SLOW);
  expect(after.lines.map(({ text }) => text)).not.toContain(word);
}, 300_000);

test("sixteen creates at once that ask for any port get sixteen", async () => {
  const sessions = await Promise.all(Array.from({ length: 16 }, (_, n) => create({ name: `port-${n}`, port: -1 })));
  const ports = sessions.map(({ port }) => port);
  expect(new Set(ports).size).toBe(16);
  expect(Math.min(...ports)).toBeGreaterThan(1000);
  for (const { id } of sessions) {
    await agent.rpc.call("delete", { id }, SLOW);
    made.delete(id);
  }
}, 300_000);

test("metadata that cannot be written stays whole, and the error says which file", async () => {
  const { id } = await create({ name: "before" });
  const file = `${METADATA}/${id}.json`;
  const refused = async (why: RegExp): Promise<void> => {
    await expect(agent.rpc.call("edit", { id, name: "after" }, SLOW)).rejects.toMatchObject({
      code: "IO_ERROR",
      message: expect.stringMatching(why),
    });
    expect(JSON.parse(await inAgent(`cat "$1"`, file))).toMatchObject({ id, name: "before" });
    expect(await agent.rpc.call("get", { id })).toMatchObject({ name: "before" });
  };
  await inAgent(`mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"`, METADATA);
  try {
    await refused(new RegExp(`${file}.*EROFS`));
  } finally {
    await inAgent(`umount "$1"`, METADATA);
  }
  await inAgent(
    `kept="$(tar -C "$1" -c . | base64 -w0)"; mount -t tmpfs -o size=1m tmpfs "$1"
    base64 -d <<< "$kept" | tar -C "$1" -x; dd if=/dev/zero of="$1/fill" bs=4k status=none || true`,
    METADATA,
  );
  try {
    await refused(new RegExp(`${file}.*ENOSPC.*free some space`));
  } finally {
    await inAgent(`umount "$1"`, METADATA);
  }
  expect(await agent.rpc.call("edit", { id, name: "after" }, SLOW)).toMatchObject({ name: "after" });
}, 300_000);

test("a dockerd that hangs holds up only what needs it, and that not for long", async () => {
  const { id } = await create({ name: "waits" });
  await script("systemctl kill --kill-whom=main -s STOP docker");
  try {
    // 10 s each: the client would say otherwise who did not answer.
    const deadline = { timeoutMs: 10_000 };
    const restart = agent.rpc.call("restart", { id }, deadline);
    const told = expect(restart).rejects.toMatchObject({
      code: "TIMEOUT",
      message: expect.stringContaining("Docker has not answered"),
    });
    expect((await agent.rpc.call("ping", {}, deadline)).agent_id).toBe(door.agentId);
    const { sessions } = await agent.rpc.call("list", {}, deadline);
    const stateOf = (wanted: SessionId): string | undefined => sessions.find((one) => one.id === wanted)?.status.state;
    expect(stateOf(source.id)).toBe("error");
    expect(stateOf(id)).toBe("locked");
    const request = { request_id: randomUUID(), name: "made-meanwhile" };
    const created = await agent.rpc.call("create", request, deadline);
    made.add(created.id);
    await told;
  } finally {
    await script("systemctl kill --kill-whom=main -s CONT docker");
  }
  await eventually("the session to be free again", async () => {
    const { status } = await agent.rpc.call("get", { id }, SLOW);
    return status.state === "stopped";
  });
  expect((await agent.rpc.call("get", { id: source.id }, SLOW)).status.state).toBe("running");
}, 300_000);
