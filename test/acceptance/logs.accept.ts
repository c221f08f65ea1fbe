import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { newSessionId, type Session } from "../../runtime/domain/index.js";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import {
  agentTls,
  foreignAuthority,
  letsIn,
  LOGS,
  logAuthority,
  issue,
  syslog,
  type AgentTls,
} from "../support/log-lines.js";
import { RelpClient } from "../support/relp.js";

let cluster: TestCluster;
let one: AgentTls;
let two: AgentTls;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  [one, two] = await Promise.all([agentTls(cluster, "agent-1"), agentTls(cluster, "agent-2")]);
}, 1_200_000);
afterAll(async () => {
  await cluster.close();
}, 120_000);

const shell = (script: string): Promise<string> => cluster.lab.sh("shell", script);
const inFile = (name: string, word: string): Promise<string> => shell(`grep -hF -- '${word}' ${LOGS}/${name} || :`);
interface JsonLine {
  timestamp: string;
  text: string;
  agent_id: string;
  entry: { event: string; text?: string } | null;
}
async function logLines(...argv: string[]): Promise<JsonLine[]> {
  const { exitCode, stdout, stderr } = await cluster.convocate(["logs", ...argv, "--json"]);
  if (exitCode !== 0) throw new Error(stderr);
  return stdout
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as JsonLine);
}

describe("a session's log", () => {
  test("at the shell host has all that happened to it and in it, a line of JSON each; also when its agent is away or it is gone", async () => {
    const session = await cluster.json<Session>(["new", "logged", "--agent", "agent-1"]);
    const { id } = session;
    const container = `convocate-session-${id}`;
    await eventually("the CLI's start in the log", async () =>
      (await logLines(id)).some(({ entry }) => entry?.event === "SessionStart"),
    );
    // Who is root in there can write what he likes to the container's output.
    const nasty =
      'printf "\\033]0;title\\007\\033[31mnasty\\033[0m\\rback %s\\n" "$(head -c 9000 /dev/zero | tr "\\0" x)"';
    await cluster.lab.sh("agent-1", `docker exec -u 0 ${container} sh -c '${nasty} > /proc/1/fd/1'`);
    await cluster.convocate(["edit", id, "--name", "logged-too"]);
    const raw = await eventually("the line at the shell host", () => inFile(`${one.agentId}.log`, "nasty"));
    expect(raw.trimEnd()).not.toMatch(/[\x00-\x1f\x7f-\x9f]/);
    expect(raw.length).toBeLessThan(4300);

    await cluster.lab.disconnect("agent-1", { peer: "shell" });
    try {
      const { exitCode, stdout, stderr } = await cluster.convocate(["logs", id]);
      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(/agent-1 .*forwarded/) });
      expect(stdout).toContain("container.started image convocate:");
    } finally {
      await cluster.lab.connect("agent-1", { peer: "shell" });
    }

    expect((await cluster.convocate(["agents", "agent-1", "--wait", "30"])).exitCode).toBe(0);
    await cluster.convocate(["kill", id]);
    await cluster.convocate(["delete", id, "--yes"]);
    const wanted = [
      "container.created",
      "container.started",
      "SessionStart",
      "container.edited",
      "SessionEnd",
      "container.stopped",
      "container.deleted",
    ];
    const lines = await eventually("the end of its log", async () => {
      const all = await logLines(id);
      return wanted.every((event) => all.some(({ entry }) => entry?.event === event)) && all;
    });
    for (const event of wanted) expect(lines.filter(({ entry }) => entry?.event === event)).toHaveLength(1);
    expect(lines[0]?.entry).toEqual({ event: "container.created", text: "name logged, port 0, protocol tcp" });
    for (const { entry } of lines) expect((entry?.text ?? "").length).toBeLessThanOrEqual(200);
    expect(new Set(lines.map(({ agent_id }) => agent_id))).toEqual(new Set([one.agentId]));
    // What the agent's journal says of it is the same, with the same times: nothing shows twice while it is forwarded.
    expect(new Set(lines.map(({ timestamp, text }) => timestamp + text)).size).toBe(lines.length);
    expect((await logLines(id, "-n", "2")).map(({ timestamp }) => timestamp)).toEqual(
      lines.slice(-2).map(({ timestamp }) => timestamp),
    );
  }, 180_000);
});

describe("the log server", () => {
  test("files what an agent says with that agent, and what says otherwise nowhere else", async () => {
    const mark = `forged-${randomUUID()}`;
    const id = newSessionId();
    const { token } = one;
    const own = [
      syslog(`${mark} hostname`, { token, host: two.agentId }),
      syslog(`${mark} tag`, { token, tag: `../${two.agentId}` }),
      syslog(`${mark} newline\n2026-11-21T00:00:00.000000+00:00 ${id} ${mark} forged\r\nx`, { token }),
      syslog(`${mark} data`, {
        data: `[convocate@32473 token="${token}" agent="${two.agentId}"][x@1 token="${two.agentId}"]`,
      }),
    ];
    const nobodys = [
      syslog(`${mark} no token`, { host: two.agentId, tag: two.agentId }),
      syslog(`${mark} a token in the text token="${token}"`, {}),
      syslog(`${mark} wrong token`, { token: "0".repeat(64) }),
      syslog(`${mark} path`, {
        data: `[convocate@32473 token="../../${two.agentId}" agent="${two.agentId}"]`,
        tag: "../x",
      }),
      `<14>Nov 21 00:00:00 ${two.agentId} ../../${two.agentId}: ${mark} old style`,
      `no syslog at all, ${mark}`,
    ];
    const before = await shell(`ls ${LOGS}`);
    using client = await RelpClient.open(one);
    await client.send([...own, ...nobodys]);
    const lines = (await inFile(`${one.agentId}.log`, mark)).trimEnd().split("\n");
    expect(lines).toHaveLength(own.length);
    for (const line of lines) expect(line).not.toMatch(/[\x00-\x1f]/);
    expect(lines.filter((line) => line.split(" ")[1] === id)).toEqual([]);
    expect((await inFile("quarantine.log", mark)).trimEnd().split("\n")).toHaveLength(nobodys.length);
    expect(await inFile(`${two.agentId}.log`, mark)).toBe("");
    // Whatever is new there is a file that may be.
    const mayBe = [one.agentId, two.agentId, "quarantine"].map((name) => `${name}.log`);
    const after = (await shell(`ls ${LOGS}`)).trim().split("\n");
    expect(after.filter((name) => !before.split("\n").includes(name) && !mayBe.includes(name))).toEqual([]);
    expect(await inFile(`${one.agentId}.log`, token)).toBe("");
  }, 60_000);

  test("lets in an agent, and nobody with a certificate that is expired, another authority's, of no agent any more, or none", async () => {
    const authority = await logAuthority(cluster);
    const { host, ca } = one;
    const as = (pem: string) => ({ host, ca, cert: pem, key: pem });
    expect(await letsIn(one)).toBe(true);
    // So what keeps the next ones out is what they are said to be kept out for.
    expect(await letsIn(as(await issue(cluster, authority, "agent-1", 1)))).toBe(true);
    const refused = {
      expired: as(await issue(cluster, authority, "agent-1", 0)),
      foreign: as(await issue(cluster, await foreignAuthority(cluster), "agent-1", 1)),
      removed: as(await issue(cluster, authority, "agent-9", 1)),
      none: { host, ca },
    };
    await sleep(1_500);
    for (const [who, options] of Object.entries(refused)) expect([who, await letsIn(options)]).not.toEqual([who, true]);
    expect(await letsIn(one)).toBe(true);
  }, 120_000);

  test("loses no line to a rotation while lines flow, and files keep their owner and mode", async () => {
    const tag = newSessionId();
    const count = 3000;
    using client = await RelpClient.open(two);
    let sent = 0;
    let rotated = 0;
    const sending = (async () => {
      for (; sent < count; sent += 100) {
        await client.send(
          Array.from({ length: 100 }, (_, n) => syslog(`rotating-${sent + n}-`, { token: two.token, tag })),
        );
        // Not over before the rotations are.
        if (sent >= count - 200) await eventually("both rotations", () => rotated === 2);
      }
    })();
    for (; rotated < 2; rotated++) {
      await eventually("lines between rotations", () => sent > (rotated + 1) * 500);
      await shell("logrotate -f /etc/logrotate.d/convocate-agent-logs");
    }
    await sending;
    const files = `${LOGS}/${two.agentId}.log*`;
    const lines = await shell(
      `for file in ${files}; do zcat -f "$file"; done | grep -o 'rotating-[0-9]*-' | sort -u | wc -l`,
    );
    expect(Number(lines)).toBe(count);
    const modes = await shell(`stat -c '%n %U:%G %a' ${files}`);
    for (const line of modes.trim().split("\n")) expect(line).toMatch(/ root:claude 640$/);
    expect(modes).toContain(`${two.agentId}.log.2.gz`);
    // And they are read as one, by the service user, all of them when he asks for them.
    const texts = (await logLines(tag, "-n", "3000")).map(({ text }) => text);
    expect(texts).toHaveLength(count);
    expect([texts[0], texts.at(-1)]).toEqual(["rotating-0-", `rotating-${count - 1}-`]);
    expect((await logLines(tag)).length).toBeLessThanOrEqual(200);
  }, 120_000);
});
