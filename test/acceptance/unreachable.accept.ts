import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { acceptanceCluster, ROOT, type TestCluster } from "../support/cluster.js";

// One host of three does not answer: it is named at once, and the others are served.

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
}, 1_200_000);
afterAll(async () => {
  await cluster.lab.connect("agent-2");
  await cluster.close();
}, 120_000);

interface Plan {
  changes: { host: string; kind: string }[];
  unreachable: { host: string; code: string }[];
}

/** When the first line of stderr came, beside how it all ended. */
async function timed(
  argv: readonly string[],
): Promise<{ exitCode: number | null; stdout: string; namedAfterMs: number }> {
  const node = join(ROOT, "node_modules/.bin/node");
  return await timedRun([node, "dist/convocate-host.mjs", ...argv, "--stack", cluster.stack]);
}

async function timedRun(
  argv: readonly string[],
): Promise<{ exitCode: number | null; stdout: string; namedAfterMs: number }> {
  const start = Date.now();
  const [file = "", ...rest] = argv;
  const child = spawn(file, rest, { cwd: ROOT });
  let stdout = "";
  let namedAfterMs = Infinity;
  const named = (text: string): void => {
    if (/agent-2 \(/.test(text)) namedAfterMs = Math.min(namedAfterMs, Date.now() - start);
  };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    named(text);
  });
  child.stderr.setEncoding("utf8").on("data", named);
  const exitCode = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { exitCode, stdout, namedAfterMs };
}

test("plan names the host within 10 s, plans the others, and ends with exit code 3", async () => {
  await cluster.lab.disconnect("agent-2");
  await cluster.lab.sh("agent-1", "chmod 0600 /etc/convocate-agent/shell-host");
  const { exitCode, stdout, namedAfterMs } = await timed(["plan", "--json"]);
  const { changes, unreachable } = JSON.parse(stdout) as Plan;
  expect(unreachable).toMatchObject([{ host: "agent-2", code: "TIMEOUT" }]);
  expect(changes).toMatchObject([{ host: "agent-1", kind: "Files" }]);
  expect(exitCode).toBe(3);
  expect(namedAfterMs).toBeLessThan(10_000);
}, 240_000);

test("update serves the others, and says at its end by exit code 3 that one was left out", async () => {
  const { exitCode, stdout } = await timed(["update", "--all"]);
  expect(stdout).toMatch(/^agent-1: updated \(1 changed/m);
  expect(stdout).not.toMatch(/^agent-2: updated/m);
  expect(exitCode).toBe(3);
}, 300_000);

test("pulumi up itself names the host within 10 s, serves the others, and does not say that all is done", async () => {
  await cluster.lab.sh("agent-1", "chmod 0600 /etc/convocate-agent/shell-host");
  const argv = ["script/pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--color", "never"];
  const { exitCode, stdout, namedAfterMs } = await timedRun([...argv, "--stack", cluster.stack]);
  expect(exitCode).not.toBe(0);
  expect(stdout).toMatch(/TIMEOUT: admin@agent-2 \(/);
  expect((await cluster.lab.sh("agent-1", "stat -c %a /etc/convocate-agent/shell-host")).trim()).toBe("644");
  expect(namedAfterMs).toBeLessThan(10_000);
}, 300_000);

test("a host that is asked for by a name nobody knows is bad usage, and so are hosts that are not said", async () => {
  for (const argv of [["update", "--host", "nobody"], ["update"], ["remove"], ["remove", "--host", "nobody"]])
    expect(await cluster.convocateHost(argv)).toMatchObject({ exitCode: 2 });
  const shell = await cluster.convocateHost(["remove", "--host", "shell"]);
  expect(shell).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("remove --all") });
}, 120_000);

test("an agent that does not answer, and one that has sessions, are not removed unless that is forced", async () => {
  const silent = await cluster.convocateHost(["remove", "--host", "agent-2"]);
  expect(silent).toMatchObject({ exitCode: 3, stderr: expect.stringContaining("--force") });
  await cluster.lab.connect("agent-2");
  const { id } = await cluster.json<{ id: string }>(["new", "keeps-agent", "--agent", "agent-2"]);
  const refused = await cluster.convocateHost(["remove", "--host", "agent-2"]);
  expect(refused).toMatchObject({ exitCode: 4, stderr: expect.stringContaining("keeps-agent") });
  expect(refused.stderr).toContain("convocate-host drain --host agent-2 --spread");
  expect((await cluster.convocate(["delete", id, "--yes"])).exitCode).toBe(0);
  expect(await cluster.convocateHost(["plan", "--host", "agent-2"])).toMatchObject({ exitCode: 0 });
}, 240_000);
