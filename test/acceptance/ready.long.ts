import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-ready", agents: 1, rollOut: false });
}, 1_200_000);
afterAll(() => cluster.takeDown(), 120_000);

test("a rollout whose agent answers but is not heard by convocate-status is not called done", async () => {
  // convocate-status cannot open a database that is a directory, and ends at each start
  await cluster.lab.sh("shell", "mkdir -p /var/lib/convocate/status.db");
  const cut = await cluster.pulumi(["up", "--yes", "--skip-preview"]);
  expect(cut.exitCode).not.toBe(0);
  expect(cut.stdout).toMatch(/convocate-status/);
  await cluster.lab.sh("shell", "rmdir /var/lib/convocate/status.db");
  await cluster.up();
  expect((await cluster.convocate(["agents", "agent-1", "--wait", "30"])).exitCode).toBe(0);
}, 900_000);
