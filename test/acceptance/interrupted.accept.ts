import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-cut", agents: 1, rollOut: false });
}, 1_200_000);
afterAll(() => cluster.takeDown(), 120_000);

test("up killed with SIGKILL half way completes when it is run again: no resource twice, no half-written file", async () => {
  const up = cluster.startUp();
  const ended = new Promise<void>((resolve) => up.once("exit", () => resolve()));
  // half way: the agent's folders are there, its program is not running yet
  const half = "test -d /etc/convocate-agent && ! systemctl -q is-active convocate-agent";
  await eventually(
    "up to be half way",
    async () => (await cluster.lab.exec("agent-1", ["sh", "-c", half])).exitCode === 0,
    {
      timeoutMs: 300_000,
    },
  );
  // the engine and all it started: one process group
  process.kill(-up.pid!, "SIGKILL");
  await ended;

  const out = await cluster.up();
  expect(out).toMatch(/Resources:/);
  expect(await cluster.up()).toMatch(/Resources:\s+\d+ unchanged/);

  const { stdout } = await cluster.pulumi(["stack", "export"]);
  const { deployment } = JSON.parse(stdout) as {
    deployment: { resources: { urn: string }[]; pending_operations?: unknown[] };
  };
  const urns = deployment.resources.map(({ urn }) => urn);
  expect(new Set(urns).size).toBe(urns.length);
  expect(deployment.pending_operations ?? []).toEqual([]);

  for (const host of ["shell", "agent-1"]) {
    // nothing of a write that was cut off is left, and one line a key
    const left = await cluster.lab.sh(
      host,
      "find /etc/convocate* /usr/local/lib/convocate /etc/systemd/system /etc/rsyslog.d /etc/cron.daily -name '*.tmp*' -o -name '.*convocate*' | head",
    );
    expect(left).toBe("");
  }
  const keys = (await cluster.lab.sh("shell", "cat /etc/convocate/status_authorized_keys")).trim().split("\n");
  expect(keys).toHaveLength(1);
  expect((await cluster.convocate(["agents", "agent-1", "--wait", "30"])).exitCode).toBe(0);
}, 1_200_000);
