import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { doorOf, type Door } from "../support/door.js";
import { flood, residentBytes } from "./flood.js";

const MB = 1024 * 1024;
let cluster: TestCluster;
let door: Door;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  door = await doorOf(cluster, "agent-1");
}, 1_200_000);

afterAll(async () => {
  await cluster.close();
});

test("a line of 1 GB to a real agent: refused, in bounded memory, and no other client waits for it", async () => {
  const script = "cat /proc/$(systemctl show -p MainPID --value convocate-agent)/status";
  const memory = async (): Promise<number> => residentBytes(await cluster.lab.sh("agent-1", script));
  await flood(door, 64 * MB, async () => 0);
  const before = await memory();
  const { answers, pings, mostBytes } = await flood(door, 1024 * MB, memory);
  pings.sort((a, b) => a - b);
  const at = (share: number): string => `${(pings[Math.floor(pings.length * share)] ?? NaN).toFixed(1)} ms`;
  console.log(
    `memory ${Math.round(before / MB)} MB before, ${Math.round(mostBytes / MB)} MB at most; ` +
      `${pings.length} pings, p50 ${at(0.5)}, p95 ${at(0.95)}`,
  );
  expect(answers).toMatchObject([
    { ok: false, code: "LINE_TOO_LONG" },
    { id: 2, ok: true },
  ]);
  // What the collector has not come to yet; a busy machine lets it wait.
  expect(mostBytes - before).toBeLessThan(192 * MB);
  expect(pings.length).toBeGreaterThan(5);
}, 600_000);
