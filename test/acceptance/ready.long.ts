import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-ready", agents: 1, rollOut: false });
}, 1_200_000);
afterAll(() => cluster.takeDown(), 120_000);

test("a rollout whose agent answers but is not heard by convocate-status is not called done", async () => {
  // What the agent tells convocate-status is lost; what is asked of the agent is answered.
  const [deaf, hears] = ["-I", "-D"].map((how) => `iptables ${how} INPUT -p tcp --dport 223 -j DROP`);
  await cluster.lab.sh("shell", deaf!);
  const cut = await cluster.pulumi(["up", "--yes", "--skip-preview"]);
  expect(cut.exitCode).not.toBe(0);
  expect(cut.stdout).toMatch(/convocate-status/);
  await cluster.lab.sh("shell", hears!);
  await cluster.up();
  expect((await cluster.convocate(["agents", "agent-1", "--wait", "30"])).exitCode).toBe(0);
}, 900_000);
