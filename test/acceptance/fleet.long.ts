import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readFile, writeFile } from "node:fs/promises";
import { parseDocument } from "yaml";
import { OtherRelease } from "../support/checkout.js";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { onlyRow, type Row } from "../support/moving.js";
import { WatchedAttach } from "../support/watched-attach.js";

// Three agents, each with a session that somebody is attached to, brought to another release, and then to one more.

const AGENTS = ["agent-1", "agent-2", "agent-3"];
let cluster: TestCluster;
const sessions: Row[] = [];
let attaches: WatchedAttach[] = [];

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-fleet", agents: 3 });
  for (const agent of AGENTS)
    sessions.push(await cluster.json<Row>(["new", `on-${agent}`, "--agent", agent, "--wait"]));
  attaches = await Promise.all(sessions.map(({ name }) => WatchedAttach.open(cluster, name)));
}, 1_800_000);

afterAll(async () => {
  for (const attach of attaches) attach[Symbol.dispose]();
  for (const { id } of sessions) await cluster.convocate(["delete", id, "--yes"]);
  await cluster.up();
  await cluster.close();
}, 900_000);

/** What each agent answers that it is; a machine that is busy is asked again. */
const releases = async (): Promise<Record<string, string>> =>
  await eventually(
    "every agent to answer",
    async () => {
      const { stdout } = await cluster.convocate(["agents", ...AGENTS, "--json"]);
      const { agents } = JSON.parse(stdout) as { agents: { name: string; release: string; answers: boolean }[] };
      return agents.every(({ answers }) => answers) && Object.fromEntries(agents.map((one) => [one.name, one.release]));
    },
    { timeoutMs: 120_000, everyMs: 1000 },
  );
/** When each session's container and each agent was started: what was restarted has another. */
const starts = async (): Promise<string[]> =>
  await Promise.all(
    AGENTS.map(async (agent, at) => {
      const container = `convocate-session-${sessions[at]!.id}`;
      return (
        await cluster.lab.sh(agent, `docker inspect -f '{{.State.StartedAt}} {{.State.Pid}}' ${container}`)
      ).trim();
    }),
  );
const serving = async (agent: string): Promise<string> =>
  (await cluster.lab.sh(agent, "systemctl show -p InvocationID --value convocate-agent")).trim();
const reconnects = (): number[] => attaches.map((attach) => attach.reconnects);
/** Every attach still types into its session, once. */
const typing = async (text: string): Promise<void> => {
  for (const attach of attaches) attach.type(text);
  for (const [at, agent] of AGENTS.entries())
    await eventually(
      `${text} on the screen of ${sessions[at]!.name}`,
      async () => {
        const screen = `docker exec -u claude convocate-session-${sessions[at]!.id} tmux capture-pane -p -t =claude:`;
        return (await cluster.lab.sh(agent, screen)).split(text).length === 2;
      },
      { timeoutMs: 60_000 },
    );
  for (const attach of attaches) attach.type("\u0015");
};

test("update --all stops at the second of three that does not get well; run again it completes; an attach sees one reconnect", async () => {
  await using next = await OtherRelease.make(cluster, "3.0.901");
  const [before, started, third] = [await releases(), await starts(), await serving("agent-3")];
  // Its events do not reach the shell host: it answers, and is not heard.
  const rule = "OUTPUT -p tcp --dport 223 -j DROP";
  await cluster.lab.sh("agent-2", `iptables -w 10 -t raw -I ${rule}`);
  try {
    const stopped = await next.convocateHost(["update", "--all"]);
    console.log(stopped.stdout, stopped.stderr);
    expect(stopped.exitCode).toBe(3);
    expect(stopped.stderr).toMatch(/agent-2 answers, but convocate-status does not hear it/);
    expect(stopped.stderr).toMatch(
      /updated before it: shell, agent-1\n\s*not touched: agent-3\n\s*mend agent-2, then run the same again/,
    );
    expect(await releases()).toEqual({
      "agent-1": next.release,
      "agent-2": next.release,
      "agent-3": before["agent-3"],
    });
    expect(await serving("agent-3")).toBe(third);
  } finally {
    await cluster.lab.sh("agent-2", `iptables -w 10 -t raw -D ${rule}`);
  }
  const completed = await next.convocateHost(["update", "--all"]);
  expect(completed).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^agent-3: updated/m) });
  expect(await releases()).toEqual(Object.fromEntries(AGENTS.map((agent) => [agent, next.release])));
  await eventually("every attach to be back", () => reconnects().join() === "1,1,1", { timeoutMs: 60_000 });
  await typing("updated-once");
  expect(await starts()).toEqual(started);
  expect(reconnects()).toEqual([1, 1, 1]);
}, 1_800_000);

test("update --all --parallel 2 takes two at a time, and each attach sees one more reconnect", async () => {
  await using next = await OtherRelease.make(cluster, "3.0.902");
  const [started, seen] = [await starts(), reconnects()];
  const { exitCode, stdout, stderr } = await next.convocateHost(["update", "--all", "--parallel", "2"]);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  expect(stdout).toMatch(/^shell, agent-1: updated .*\nagent-2, agent-3: updated/m);
  expect(await releases()).toEqual(Object.fromEntries(AGENTS.map((agent) => [agent, next.release])));
  const oneMore = seen.map((count) => count + 1);
  await eventually("every attach to be back", () => reconnects().join() === oneMore.join(), { timeoutMs: 60_000 });
  await typing("two-at-a-time");
  expect(await starts()).toEqual(started);
  expect(reconnects()).toEqual(oneMore);
  expect(attaches.map((attach) => attach.ended)).toEqual([false, false, false]);
}, 1_200_000);

test("an agent that the inventory holds at a release stays at it, and takes its settings all the same", async () => {
  const before = await releases();
  const held = before["agent-2"]!;
  const inventory = await readFile(cluster.inventory, "utf8");
  const edit = parseDocument(inventory);
  const hold = async (release: string, labels: object = {}): Promise<void> => {
    edit.setIn(["agents", 1, "release"], release);
    edit.setIn(["agents", 1, "labels"], labels);
    await writeFile(cluster.inventory, edit.toString());
  };
  const files = (): Promise<string> =>
    cluster.lab.sh(
      "agent-2",
      "cat /usr/local/bin/convocate-agent /etc/convocate-agent/current-image /etc/systemd/system/convocate-agent.service | sha256sum",
    );
  const was = await files();
  await using next = await OtherRelease.make(cluster, "3.0.903");
  const line = `agent-2 is held at ${held} by the inventory; this checkout is ${next.release}`;
  try {
    await hold(held, { room: "cellar" });
    expect(await next.convocateHost(["update", "--host", "agent-2"])).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining(`${line}: change or remove its release in`),
    });
    const updated = await next.convocateHost(["update", "--all"]);
    expect(updated).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining(`agent-2 (held at ${held}): updated`),
      stderr: expect.stringContaining(line),
    });
    expect(await releases()).toEqual({ ...before, "agent-1": next.release, "agent-3": next.release });
    expect(await files()).toBe(was);
    const { stdout } = await cluster.convocate(["agents", "agent-2", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ agents: [{ labels: { room: "cellar" }, answers: true }] });

    const clean = await next.convocateHost(["plan"]);
    expect(clean).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(line) });
    // What it lacks cannot come from here, and the plan says that it lacks it.
    await cluster.lab.sh("agent-2", "mv /usr/local/bin/convocate-agent /root/kept");
    expect(await next.convocateHost(["plan"])).toMatchObject({
      exitCode: 2,
      stdout: expect.stringContaining("convocate-agent (Program)"),
    });
    expect(await next.convocateHost(["update", "--label", "room=cellar"])).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining(`agent-2 is held at ${held} by the inventory, and what it lacks`),
    });
    await cluster.lab.sh("agent-2", "mv /root/kept /usr/local/bin/convocate-agent");

    await writeFile(cluster.inventory, inventory);
    expect(await next.convocateHost(["update", "--host", "agent-2"])).toMatchObject({ exitCode: 0 });
    expect((await releases())["agent-2"]).toBe(next.release);
  } finally {
    await writeFile(cluster.inventory, inventory);
  }
}, 1_200_000);

test("a session that an agent refuses is spread to the other, and drained agents come back for more", async () => {
  const [first] = sessions;
  const port = "18081";
  const blocked = await cluster.json<Row>(["new", "blocked", "--agent", "agent-1", "--no-start", "--port", port]);
  const holder = await cluster.json<Row>(["new", "holder", "--agent", "agent-2", "--no-start", "--port", port]);
  try {
    const drained = await cluster.convocateHost(["drain", "--host", "agent-1", "--spread"]);
    expect(drained).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("agent-1: drained (2 moved)") });
    expect((await onlyRow(cluster, blocked.id)).agent).toBe("agent-3");
    const moved = await onlyRow(cluster, first!.id);
    expect(moved.status.state).toBe("running");
    expect(moved.agent).not.toBe("agent-1");
    await cluster.lab.disconnect("agent-3");
    const silent = await cluster.convocateHost(["drain", "--host", "agent-2", "--to", "agent-3"]);
    expect(silent).toMatchObject({
      exitCode: 3,
      stderr: expect.stringMatching(/agent-3 does not answer .* nothing was moved/),
    });
    expect(silent.stderr.trim().split("\n")).toHaveLength(1);
  } finally {
    await cluster.lab.connect("agent-3");
    for (const { id } of [blocked, holder]) await cluster.convocate(["delete", id, "--yes"]);
  }
}, 600_000);
