import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
}, 1_200_000);
afterAll(async () => cluster.close());

interface AgentRow {
  name: string;
  connection: { state: string };
  release: string | null;
  heard: { connection: string; last_heartbeat_at: string | null } | null;
}

test("both agents answer ping, and their heartbeats reach the shell", async () => {
  const { exitCode, stderr } = await cluster.convocate(["agents", "agent-1", "agent-2", "--wait", "60"], {
    timeoutMs: 90_000,
  });
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  const { agents } = await cluster.json<{ agents: AgentRow[] }>(["agents"]);
  expect(agents.map(({ name }) => name).sort()).toEqual(["agent-1", "agent-2"]);
  for (const agent of agents) {
    expect(agent.connection.state).toBe("connected");
    expect(agent.release).not.toBeNull();
    expect(Date.now() - Date.parse(agent.heard!.last_heartbeat_at!)).toBeLessThan(60_000);
  }
}, 120_000);

test("a session started on each agent is in state R, in the slice", async () => {
  for (const agent of ["agent-1", "agent-2"]) {
    const session = await cluster.json<{ id: string }>(["new", `first-${agent}`, "--agent", agent]);
    await eventually("the session to be R", async () => {
      const { stdout } = await cluster.convocate(["ls"]);
      return stdout.split("\n").some((line) => /\bR\b/.test(line) && line.includes(`first-${agent}`));
    });
    const cgroup = await cluster.lab.sh(
      agent,
      `docker inspect -f '{{.HostConfig.CgroupParent}}' convocate-session-${session.id}`,
    );
    expect(cgroup.trim()).toBe("convocate-sessions.slice");
    expect((await cluster.convocate(["delete", session.id, "--yes"], { timeoutMs: 60_000 })).exitCode).toBe(0);
  }
}, 300_000);

test("a second up changes nothing and says so", async () => {
  const out = await cluster.up();
  expect(out).toMatch(/Resources:\s+\d+ unchanged/);
  expect(out).not.toMatch(/(updated|created|deleted|replaced)/);
}, 300_000);

test("no client verb runs as another user, and the message names the right command", async () => {
  const { exitCode, stderr } = await cluster.lab.exec("shell", ["/usr/local/bin/convocate", "ls"]);
  expect(exitCode).toBe(4);
  expect(stderr).toContain("sudo -u claude");
});
