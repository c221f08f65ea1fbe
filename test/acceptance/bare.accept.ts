import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-bare", agents: 2, bare: true, rollOut: false });
}, 1_200_000);
afterAll(() => cluster.takeDown(), 120_000);

test("bare hosts become a cluster by one up: agents answer, heartbeats arrive, a session is R on each", async () => {
  for (const { name } of cluster.lab.hosts) {
    const { exitCode } = await cluster.lab.exec(name, [
      "sh",
      "-c",
      "command -v docker || command -v node || id claude",
    ]);
    expect(exitCode).not.toBe(0);
  }
  await cluster.up();
  expect(
    (await cluster.convocate(["agents", "agent-1", "agent-2", "--wait", "60"], { timeoutMs: 90_000 })).exitCode,
  ).toBe(0);
  for (const agent of ["agent-1", "agent-2"]) {
    await cluster.json(["new", `on-${agent}`, "--agent", agent]);
    await eventually("the session to be R", async () =>
      (await cluster.convocate(["ls"])).stdout
        .split("\n")
        .some((line) => /^R\s/.test(line) && line.includes(`on-${agent}`)),
    );
  }
  expect(await cluster.up()).toMatch(/Resources:\s+\d+ unchanged/);
}, 1_800_000);
