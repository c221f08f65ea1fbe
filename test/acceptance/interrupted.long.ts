import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-cuts", agents: 1, rollOut: false });
}, 1_200_000);
afterAll(async () => {
  await cluster.pulumi(["stack", "rm", "--force", "--yes"]);
  await cluster.lab.down();
  await cluster.close();
}, 120_000);

test("up killed with SIGKILL at ten random moments, one after another: the next one completes", async () => {
  for (let i = 0; i < 10; i++) {
    const up = cluster.startUp();
    const ended = new Promise<void>((resolve) => up.once("exit", () => resolve()));
    const afterMs = Math.round(500 + Math.random() * 6_000);
    await Promise.race([ended, sleep(afterMs)]);
    const cut = up.exitCode === null;
    if (cut) process.kill(-up.pid!, "SIGKILL");
    await ended;
    console.log(cut ? `cut ${i + 1} after ${afterMs} ms` : `run ${i + 1} was done before its cut at ${afterMs} ms`);
  }
  await cluster.up();
  expect(await cluster.up()).toMatch(/Resources:\s+\d+ unchanged/);
  expect((await cluster.convocate(["agents", "agent-1", "--wait", "30"])).exitCode).toBe(0);
}, 1_800_000);
