import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { fillHome, onlyRow, treeHash, type Row } from "../support/moving.js";

let cluster: TestCluster;
let session: Row;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  session = await cluster.json<Row>(["new", "mover", "--agent", "agent-1", "--port", "-1", "--dns", "mover.test"]);
  await fillHome(cluster, "agent-1", session.id, 8);
}, 1_200_000);

afterAll(async () => {
  await cluster.convocate(["delete", session.id, "--yes"]);
  await cluster.close();
}, 120_000);

test("a running session moves with all it has, runs there, and nothing is left where it was", async () => {
  const before = await treeHash(cluster, "agent-1", session.id);
  const moved = await cluster.convocate(["move", "mover", "--to", "agent-2", "--json"], { timeoutMs: 180_000 });
  expect({ exitCode: moved.exitCode, stderr: moved.stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(JSON.parse(moved.stdout)).toMatchObject({
    session: {
      id: session.id,
      agent: "agent-2",
      port: session.port,
      dns_name: "mover.test",
      status: { state: "running" },
    },
    skipped: expect.arrayContaining([{ path: "work/pipe", kind: "fifo" }]),
    warnings: [],
  });
  expect(await treeHash(cluster, "agent-2", session.id)).toBe(before);
  expect((await onlyRow(cluster, session.id)).agent).toBe("agent-2");
  const left = await cluster.lab.sh(
    "agent-1",
    `ls -d /home/claude/*${session.id} /home/claude/.convocate-*${session.id} /var/lib/convocate-agent/*/${session.id}* 2>/dev/null || true
     docker ps -aq --filter name=${session.id}`,
  );
  expect(left.trim()).toBe("");
  const disk = await cluster.lab.sh("agent-2", `du -sm /home/claude/${session.id}/work | cut -f1`);
  expect(Number(disk)).toBeLessThan(64);
}, 300_000);

test("a clone to another agent is a session of its own there, taken from one that runs", async () => {
  const cloned = await cluster.json<{ session: Row }>(["clone", "mover", "copy", "--to", "agent-1"]);
  try {
    expect(cloned.session).toMatchObject({ name: "copy", agent: "agent-1", port: 0, dns_name: null });
    expect(await treeHash(cluster, "agent-1", cloned.session.id)).toBe(await treeHash(cluster, "agent-2", session.id));
    expect((await onlyRow(cluster, session.id)).status.state).toBe("running");
  } finally {
    await cluster.convocate(["delete", cloned.session.id, "--yes"]);
  }
}, 300_000);

test("a port that is taken there is refused before anything is stopped", async () => {
  const taken = await cluster.json<Row>([
    "new",
    "taken",
    "--agent",
    "agent-1",
    "--no-start",
    "--port",
    String(session.port),
  ]);
  try {
    const refused = await cluster.convocate(["move", "mover", "--to", "agent-1"]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/port \d+\/tcp belongs to session taken .* --port/);
    await eventually(
      "the session to run on",
      async () => (await onlyRow(cluster, session.id)).status.state === "running",
    );
  } finally {
    await cluster.convocate(["delete", taken.id, "--yes"]);
  }
}, 120_000);
