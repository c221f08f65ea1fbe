import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { agentTls, letsIn, LOGS, NumberedLines, syslog, type AgentTls } from "../support/log-lines.js";
import { RelpClient } from "../support/relp.js";

// What is lost of logs when the parts between a session and its file fail (SPEC 9, docs/logs.md), with real rsyslogs.

/** RELP's window, and what is on its way into it (docs/logs.md). */
const WINDOW = 128;
const LINES = 20_000;
let cluster: TestCluster;
let one: AgentTls;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  one = await agentTls(cluster, "agent-1");
}, 1_200_000);
afterAll(async () => {
  await cluster.close();
}, 120_000);
beforeEach(async () => {
  for (const host of ["shell", "agent-1"])
    await on(
      host,
      "systemctl reset-failed rsyslog 2>/dev/null || :; systemctl start rsyslog; systemctl is-active rsyslog",
    );
});

const on = (host: string, script: string, timeoutMs = 60_000): Promise<string> =>
  cluster.lab.sh(host, script, { timeoutMs });
/** Nothing is left waiting on the agent: a line that is said now comes, and what waited was before it. */
const drained = async (): Promise<void> => {
  const last = new NumberedLines(cluster, "agent-1");
  await last.say(1, 1);
  expect((await last.settled(1)).missing).toEqual([]);
};
const queued = async (): Promise<number> =>
  Number(await on("agent-1", "cat /var/spool/rsyslog/convocate-forward.0* 2>/dev/null | wc -c"));
const mainPid = async (host: string): Promise<string> =>
  (await on(host, "systemctl show -p MainPID --value rsyslog")).trim();

describe("no line is lost", () => {
  test("when the receiver is stalled, and then killed, with 20,000 lines on the way", async () => {
    const lines = new NumberedLines(cluster, "agent-1");
    await lines.say(1, 10);
    await lines.settled(10);
    const saying = lines.say(11, LINES, { part: 500, pauseS: 0.2 });
    await sleep(2000);
    const pid = await mainPid("shell");
    await on("shell", `kill -STOP ${pid}`);
    await sleep(15_000);
    await on("shell", `kill -KILL ${pid}`);
    for (let times = 0; times < 3; times++) {
      await sleep(4000);
      await on("shell", "systemctl start rsyslog; sleep 1; kill -KILL $(systemctl show -p MainPID --value rsyslog)");
    }
    await on("shell", "systemctl start rsyslog");
    await saying;
    const { missing, twice } = await lines.settled(LINES);
    console.log(`stalled, then killed four times: ${missing.length} of ${LINES} lost, ${twice} twice`);
    expect(missing).toEqual([]);
  }, 600_000);

  test("when the receiver is down for ten minutes", async () => {
    const lines = new NumberedLines(cluster, "agent-1");
    await on("shell", "systemctl stop rsyslog syslog.socket");
    const down = Date.now();
    await lines.say(1, LINES, { part: 100, pauseS: 2.5 });
    await sleep(Math.max(0, 600_000 - (Date.now() - down)));
    await on("shell", "systemctl start rsyslog");
    const { missing, twice } = await lines.settled(LINES);
    console.log(
      `down for ${Math.round((Date.now() - down) / 1000)} s: ${missing.length} of ${LINES} lost, ${twice} twice`,
    );
    expect(missing).toEqual([]);
  }, 1_200_000);

  test("when the sender restarts in the middle of a burst and the receiver takes lines", async () => {
    const lines = new NumberedLines(cluster, "agent-1");
    const saying = lines.say(1, LINES, { part: 4000, pauseS: 1 });
    for (let times = 0; times < 3; times++) {
      await sleep(1500);
      await on("agent-1", "systemctl restart rsyslog");
    }
    await saying;
    const { missing, twice } = await lines.settled(LINES);
    console.log(`sender restarted three times: ${missing.length} of ${LINES} lost, ${twice} twice`);
    expect(missing).toEqual([]);
  }, 300_000);

  test("when an agent is added and removed; and the removed one is let in no more", async () => {
    const inventory = await readFile(cluster.inventory, "utf8");
    const lines = new NumberedLines(cluster, "agent-1");
    const two = await agentTls(cluster, "agent-2");
    expect(await letsIn(two)).toBe(true);
    const saying = lines.say(1, LINES, { part: 50, pauseS: 0.3 });
    const removed = await cluster.convocateHost(["remove", "--host", "agent-2", "--yes"], { timeoutMs: 300_000 });
    expect({ exitCode: removed.exitCode, said: removed.stderr }).toMatchObject({ exitCode: 0 });
    expect(await letsIn(two)).toMatch(/closed|alert|ECONNRESET|certificate/i);
    expect(await letsIn(one)).toBe(true);
    await writeFile(cluster.inventory, inventory);
    await cluster.up();
    expect(await letsIn(await agentTls(cluster, "agent-2"))).toBe(true);
    await saying;
    const { missing, twice } = await lines.settled(LINES);
    console.log(`an agent removed and added: ${missing.length} of ${LINES} lost, ${twice} twice`);
    expect(missing).toEqual([]);
  }, 900_000);
});

test("a sender that restarts while the receiver is away loses 128 lines at most", async () => {
  const lines = new NumberedLines(cluster, "agent-1");
  await lines.say(1, 10);
  await lines.settled(10);
  const saying = lines.say(11, LINES, { part: 1000, pauseS: 0.3 });
  await sleep(1500);
  // Stalled first: what is sent then is what nobody will acknowledge.
  const pid = await mainPid("shell");
  await on("shell", `kill -STOP ${pid}`);
  await sleep(3000);
  await on("agent-1", "systemctl restart rsyslog", 120_000);
  await saying;
  await on("agent-1", "systemctl restart rsyslog", 120_000);
  await on("shell", `kill -KILL ${pid}; sleep 1; systemctl start rsyslog`);
  const { missing, twice } = await lines.settled(LINES);
  console.log(`sender restarted with the receiver away: ${missing.length} of ${LINES} lost, ${twice} twice`);
  expect(missing.length).toBeLessThanOrEqual(WINDOW);
}, 600_000);

test("a flood of what belongs to nobody fills the quarantine to its limit, and the agents' lines go on", async () => {
  const limit = 10 * 1024 * 1024;
  const size = async (): Promise<number> =>
    Number(await on("shell", `stat -c %s ${LOGS}/quarantine.log 2>/dev/null || echo 0`));
  await on("shell", "logrotate -f /etc/logrotate.d/convocate-agent-logs");
  const lines = new NumberedLines(cluster, "agent-2");
  const saying = lines.say(1, 5000, { part: 100, pauseS: 0.2 });
  using client = await RelpClient.open(one);
  const flood = Array.from({ length: 1000 }, () => syslog("x".repeat(4000), {}));
  for (let times = 0; times < 5; times++) await client.send(flood);
  expect(await size()).toBeGreaterThan(limit * 0.9);
  expect(await size()).toBeLessThanOrEqual(limit * 1.01);
  // The one who floods is heard as well where he says who he is.
  const word = randomUUID();
  await client.send([syslog(word, { token: one.token })]);
  expect(await on("shell", `grep -c ${word} ${LOGS}/${one.agentId}.log`)).toBe("1\n");
  await saying;
  expect((await lines.settled(5000)).missing).toEqual([]);

  await on("shell", "logrotate -f /etc/logrotate.d/convocate-agent-logs");
  await client.send([syslog(`after ${word}`, {})]);
  expect(await on("shell", `grep -c 'after ${word}' ${LOGS}/quarantine.log`)).toBe("1\n");
}, 600_000);

test("a queue that is full drops new lines and holds up nobody: the host's own log goes on, and so do lines once there is room", async () => {
  const conf = "/etc/rsyslog.d/10-convocate-client.conf";
  const limit = 4 * 1024 * 1024;
  const before = await on("agent-1", `cat ${conf}`);
  await on(
    "agent-1",
    `sed -i 's/queue.maxDiskSpace="[0-9]*"/queue.maxDiskSpace="${limit}"/' ${conf}; systemctl restart rsyslog`,
  );
  // What a restarted one reads and sends a second time would take this test's room in the queue.
  await drained();
  await on("shell", "systemctl stop rsyslog syslog.socket");
  const lines = new NumberedLines(cluster, "agent-1");
  try {
    await lines.say(1, LINES);
    await eventually("the queue to be full", async () => (await queued()) >= limit * 0.9, {
      timeoutMs: 120_000,
      everyMs: 1000,
    });
    // Twice as much as the queue takes is on its way through by now.
    const word = randomUUID();
    const from = Date.now();
    await on("agent-1", `logger -t own ${word}`);
    await eventually(
      "the host's own line in its own log",
      async () => (await on("agent-1", `grep -c 'own.*${word}' /var/log/syslog || :`)).trim() !== "0",
    );
    console.log(`the host's own line took ${Date.now() - from} ms with a full queue`);
    // What is too much is dropped, not kept elsewhere.
    expect(await queued()).toBeLessThan(limit * 1.5);
  } finally {
    await on("shell", "systemctl start rsyslog");
  }
  let next = LINES;
  await eventually(
    "new lines to come",
    async () => {
      next += 1;
      await lines.say(next, next);
      return [...(await lines.arrived()).keys()].some((number) => number > LINES);
    },
    { timeoutMs: 240_000, everyMs: 1000 },
  );
  const arrived = await lines.arrived();
  expect(arrived.size).toBeGreaterThan(1000);
  expect(arrived.size).toBeLessThan(LINES);
  await cluster.lab.exec("agent-1", ["tee", conf], { input: before });
  await on("agent-1", "systemctl restart rsyslog");
}, 600_000);

test("a host's own forwarding stays as its owner made it", async () => {
  const own = "/etc/rsyslog.d/60-own.conf";
  // A central log server of the owner's, in the way rsyslog has always had: another rsyslogd here, on plain TCP.
  await on(
    "agent-1",
    `cat >${own} <<'EOF'
*.* action(type="omfwd" target="127.0.0.1" port="10514" protocol="tcp" queue.type="LinkedList" action.resumeRetryCount="-1")
EOF
    cat >/run/own.conf <<'EOF'
module(load="imtcp")
input(type="imtcp" port="10514" address="127.0.0.1")
*.* action(type="omfile" file="/run/own-received")
EOF
    systemd-run --unit=own-receiver --collect rsyslogd -n -f /run/own.conf -i /run/own.pid`,
  );
  try {
    const up = await cluster.convocateHost(["init-agent", "--host", "agent-1"], { timeoutMs: 300_000 });
    expect({ exitCode: up.exitCode, said: up.stderr }).toMatchObject({ exitCode: 0 });
    await on("agent-1", "systemctl restart rsyslog");
    const word = randomUUID();
    const lines = new NumberedLines(cluster, "agent-1");
    await on("agent-1", `logger -t own ${word}`);
    await lines.say(1, 100);
    await eventually(
      "the owner's line where its owner sends it",
      async () => (await on("agent-1", `grep -c ${word} /run/own-received || :`)).trim() === "1",
    );
    expect((await lines.settled(100)).missing).toEqual([]);
    expect(await on("shell", `grep -rc ${word} ${LOGS}/${one.agentId}.log || :`)).toBe("0\n");

    // What cannot stand beside ours is refused before anything is changed.
    await on("agent-1", `echo 'module(load="imjournal")' >>${own}`);
    const refused = await cluster.convocateHost(["init-agent", "--host", "agent-1"], { timeoutMs: 120_000 });
    expect(refused).toMatchObject({ exitCode: 4, stderr: expect.stringContaining(`${own} loads rsyslog's imjournal`) });
  } finally {
    await on(
      "agent-1",
      `rm -f ${own} /run/own.conf /run/own-received; systemctl stop own-receiver || :; systemctl restart rsyslog`,
    );
  }
}, 600_000);
