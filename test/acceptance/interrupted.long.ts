import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-cuts", agents: 1, rollOut: false });
}, 1_200_000);
afterAll(() => cluster.takeDown(), 120_000);

/** Much of what a rollout makes, taken away by hand: files, keys, units, a token, the image's tag. */
async function change(i: number): Promise<void> {
  const some = [
    "rm -rf /etc/convocate-agent/rsyslog-tls /etc/rsyslog.d/10-convocate-client.conf",
    "rm -f /etc/systemd/system/convocate-agent.service /etc/systemd/system/convocate-sessions.slice",
    "rm -f /etc/convocate-agent/current-image /etc/convocate-agent/settings.json",
    "rm -rf /usr/local/lib/convocate/releases",
  ];
  await cluster.lab.exec("agent-1", ["sh", "-c", `${some[i % some.length]!}; ${some[(i + 1) % some.length]!}`]);
  await cluster.lab.exec("shell", [
    "sh",
    "-c",
    "rm -f /etc/convocate/status_authorized_keys /etc/dnsmasq.d/10-convocate.conf",
  ]);
}

test("up killed with SIGKILL at twenty random moments, each followed by one that completes", async () => {
  // The first cuts fall into the making of everything. Later ones find a cluster that a hand has changed, or there would be
  // nothing to be cut; and the last is a whole that goes on.
  for (let i = 0; i < 20; i++) {
    if (i > 0) await change(i);
    const up = cluster.startUp();
    const ended = new Promise<void>((resolve) => up.once("exit", () => resolve()));
    const afterMs = Math.round(500 + Math.random() * (i < 4 ? 40_000 : 12_000));
    await Promise.race([ended, sleep(afterMs)]);
    const cut = up.exitCode === null;
    if (cut) process.kill(-up.pid!, "SIGKILL");
    await ended;
    console.log(cut ? `cut ${i + 1} after ${afterMs} ms` : `run ${i + 1} was done before its cut at ${afterMs} ms`);
    // The first few pile up; from then on each is followed by the next `up`, which must complete.
    if (i >= 3) {
      await cluster.up();
      expect((await cluster.convocate(["agents", "agent-1", "--wait", "30"])).exitCode).toBe(0);
    }
  }
  expect(await cluster.up()).toMatch(/Resources:\s+\d+ unchanged/);
}, 3_000_000);
