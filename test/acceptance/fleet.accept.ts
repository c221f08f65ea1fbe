import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { fillHome, onlyRow, treeHash, type Row } from "../support/moving.js";

// What an operator does with an agent's sessions as a whole: drain it, and take what convocate 2 left to it.

let cluster: TestCluster;
const made: string[] = [];
beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
}, 1_200_000);
afterAll(async () => {
  for (const id of made) await cluster.convocate(["delete", id, "--yes"]);
  await cluster.convocate(["settings", "agent-1", "cordoned=default"]);
  await cluster.close();
}, 180_000);

const create = async (name: string, ...argv: string[]): Promise<Row> => {
  const row = await cluster.json<Row>(["new", name, ...argv]);
  made.push(row.id);
  return row;
};

interface Report {
  moved: { id: string; name: string; to: string; warnings: string[] }[];
  left: { name: string; why: string }[];
}

test("drain moves what runs and what does not, goes on past one that cannot go, and run again it is done", async () => {
  const runs = await create("drain-runs", "--agent", "agent-1");
  const stopped = await create("drain-stopped", "--agent", "agent-1", "--no-start", "--port", "18080");
  const taken = await create("drain-taken", "--agent", "agent-2", "--no-start", "--port", "18080");
  await fillHome(cluster, "agent-1", runs.id, 1);
  const home = await treeHash(cluster, "agent-1", runs.id);

  const first = await cluster.convocateHost(["drain", "--host", "agent-1", "--to", "agent-2", "--json"]);
  expect(first.exitCode).toBe(1);
  const { moved, left } = JSON.parse(first.stdout) as Report;
  expect(moved.map(({ name }) => name)).toContain("drain-runs");
  expect(left).toMatchObject([{ name: "drain-stopped", why: expect.stringMatching(/port 18080\/tcp belongs to/) }]);
  expect(first.stderr).toMatch(/agent-1: takes no new sessions now/);
  expect(first.stderr).toMatch(/drain-stopped: stays on agent-1: .*\n/);
  expect(await onlyRow(cluster, runs.id)).toMatchObject({ agent: "agent-2", status: { state: "running" } });
  expect(await treeHash(cluster, "agent-2", runs.id)).toBe(home);

  await cluster.convocate(["delete", taken.id, "--yes"]);
  const again = await cluster.convocateHost(["drain", "--host", "agent-1", "--spread"]);
  expect(again).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/agent-1: drained \(1 moved\)\n$/) });
  expect(await onlyRow(cluster, stopped.id)).toMatchObject({ agent: "agent-2", status: { state: "stopped" } });

  // Cordoned: by name it says so, else another takes it, and nothing comes back by a move.
  const refused =
    /^convocate: .*agent-1: this agent is cordoned and takes no new sessions: `convocate settings agent-1 cordoned=no`/;
  for (const argv of [
    ["new", "drain-new", "--agent", "agent-1", "--no-start"],
    ["move", stopped.id, "--to", "agent-1"],
    ["clone", stopped.id, "drain-copy", "--to", "agent-1"],
  ])
    expect(await cluster.convocate(argv)).toMatchObject({ exitCode: 4, stderr: expect.stringMatching(refused) });
  expect(await create("drain-else", "--no-start")).toMatchObject({ agent: "agent-2" });
  await cluster.convocate(["settings", "agent-1", "cordoned=no"]);
  expect(await create("drain-back", "--agent", "agent-1", "--no-start")).toMatchObject({ agent: "agent-1" });
}, 300_000);

test("drain that cannot begin says why in one line: who, and with which exit code", async () => {
  for (const [argv, exitCode, words] of [
    [["--host", "nobody", "--spread"], 2, /no agent 'nobody' in the inventory: it has agent-1, agent-2/],
    [["--host", "shell", "--spread"], 2, /no agent 'shell' in the inventory/],
    [["--host", "agent-1", "--to", "agent-1"], 2, /name another agent/],
    [["--host", "agent-1"], 2, /--to AGENT, or --spread/],
  ] as const) {
    const result = await cluster.convocateHost(["drain", ...argv]);
    expect(result).toMatchObject({ exitCode, stderr: expect.stringMatching(words) });
    expect(result.stderr.trim().split("\n")).toHaveLength(1);
  }
}, 120_000);

test("an orphan goes to an agent by the very command that its refusal names, once its container is stopped", async () => {
  const id = randomUUID();
  made.push(id);
  const former = {
    uuid: id,
    name: `former-${id.slice(0, 8)}`,
    port: 0,
    protocol: "tcp",
    created_at: "2025-01-02T03:04:05Z",
  };
  // As sessions of convocate 2 did it: open to all, and with what sudo wrote in it.
  await cluster.lab.sh(
    "shell",
    `cd /home/claude; mkdir ${id}; cat >${id}/session.json; mkdir ${id}/work ${id}/.claude; echo kept >${id}/work/file
     chown -R claude:claude ${id}; chmod 755 ${id}; mkdir -m 700 ${id}/root; echo sudo >${id}/root/file
     tar -c --dereference -C / bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*') 2>/dev/null | docker import - convocate-v2:t
     docker run -d --name convocate-session-${id} -v /home/claude/${id}:/home/claude convocate-v2:t /bin/sleep 600`,
    { input: JSON.stringify(former) },
  );
  try {
    const refused = await cluster.convocate(["restart", id]);
    const command = /`convocate-host (migrate-session [^`]+)`/.exec(refused.stderr)?.[1];
    const migrate = () => cluster.convocateHost((command ?? "").replace("AGENT", "agent-1").split(" "));
    expect(await migrate()).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(`docker stop convocate-session-${id}`),
    });
    expect(await cluster.lab.sh("shell", `cat /home/claude/${id}/work/file`)).toBe("kept\n");

    await cluster.lab.sh("shell", `docker stop -t 0 convocate-session-${id}`);
    expect(await migrate()).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining(`${former.name}: now on agent-1`),
    });
    expect(await onlyRow(cluster, id)).toMatchObject({
      agent: "agent-1",
      name: former.name,
      created_at: former.created_at.replace("Z", ".000Z"),
    });
    expect((await cluster.lab.exec("shell", ["test", "-e", `/home/claude/${id}`])).exitCode).toBe(1);
    expect((await cluster.convocate(["start", id])).exitCode).toBe(0);
    const seen = await cluster.lab.sh(
      "agent-1",
      `docker exec -u claude convocate-session-${id} cat work/file root/file; stat -c %U:%a /home/claude/${id} /home/claude/${id}/root/file`,
    );
    expect(seen).toBe("kept\nsudo\nclaude:700\nclaude:644\n");
    // Once more is no failure: it is there.
    expect((await migrate()).exitCode).toBe(0);
  } finally {
    await cluster.lab.sh(
      "shell",
      `docker rm -f convocate-session-${id}; docker image rm convocate-v2:t; rm -rf /home/claude/${id}`,
    );
  }
}, 300_000);
