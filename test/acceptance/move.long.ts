import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type CommandResult, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { fillHome, onlyRow, treeHash, type Row } from "../support/moving.js";

/** Enough that a move is under way for some seconds. */
const MEGABYTES = 400;

let cluster: TestCluster;
let session: Row;
let hash: string;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  session = await cluster.json<Row>(["new", "cut", "--agent", "agent-1"]);
  await fillHome(cluster, "agent-1", session.id, MEGABYTES);
  hash = await treeHash(cluster, "agent-1", session.id);
}, 1_200_000);

afterAll(async () => {
  await cluster.convocate(["delete", session.id, "--yes"]);
  await cluster.close();
}, 120_000);

async function move(to: string): Promise<CommandResult> {
  return await cluster.convocate(["move", "cut", "--to", to], { timeoutMs: 300_000 });
}

/** Resolves when the receiving agent has some of it. */
async function underWay(to: string): Promise<void> {
  await eventually(
    "a move to be under way",
    async () => {
      const script = `du -sm /home/claude/.convocate-in-${session.id} 2>/dev/null | cut -f1`;
      return Number((await cluster.lab.exec(to, ["bash", "-c", script])).stdout) >= 20;
    },
    { timeoutMs: 120_000, everyMs: 50 },
  );
}

const killAgent = (host: string): Promise<string> =>
  cluster.lab.sh(host, "kill -9 $(systemctl show -p MainPID --value convocate-agent)");

/** Whatever happened: whole on exactly one agent, running; one more call brings it to its goal, whole again. */
async function wholeThenMoved(to: string): Promise<void> {
  const { agent } = await onlyRow(cluster, session.id);
  expect(await treeHash(cluster, agent, session.id)).toBe(hash);
  await eventually("it to run", async () => (await onlyRow(cluster, session.id)).status.state === "running", {
    timeoutMs: 60_000,
  });
  const again = await move(to);
  expect({ exitCode: again.exitCode, stderr: again.stderr }).toMatchObject({ exitCode: 0 });
  expect(await onlyRow(cluster, session.id)).toMatchObject({ agent: to, status: { state: "running" } });
  expect(await treeHash(cluster, to, session.id)).toBe(hash);
  const other = to === "agent-1" ? "agent-2" : "agent-1";
  const left = await cluster.lab.sh(
    other,
    `ls -d /home/claude/*${session.id} /home/claude/.convocate-*${session.id} 2>/dev/null || true`,
  );
  expect(left.trim()).toBe("");
}

test("cut by the death of the agent that sends", async () => {
  const first = move("agent-2");
  await underWay("agent-2");
  await killAgent("agent-1");
  expect((await first).exitCode).not.toBe(0);
  await wholeThenMoved("agent-2");
}, 600_000);

test("cut by the death of the agent that receives", async () => {
  const first = move("agent-1");
  await underWay("agent-1");
  await killAgent("agent-1");
  expect((await first).exitCode).not.toBe(0);
  await wholeThenMoved("agent-1");
}, 600_000);

test("cut by a link that is gone without a word", async () => {
  const first = move("agent-2");
  await underWay("agent-2");
  const address = cluster.lab.host("shell").address;
  await cluster.lab.sh("agent-2", `iptables -I INPUT -s ${address} -p tcp --dport 222 -j DROP`);
  try {
    expect((await first).exitCode).not.toBe(0);
  } finally {
    await cluster.lab.sh("agent-2", `iptables -D INPUT -s ${address} -p tcp --dport 222 -j DROP`);
  }
  await wholeThenMoved("agent-2");
}, 600_000);

test("cut by the death of the shell's program", async () => {
  const first = move("agent-1");
  await underWay("agent-1");
  await cluster.lab.sh("shell", "pkill -9 -f '[c]onvocate.*move cut'");
  await first;
  await wholeThenMoved("agent-1");
}, 600_000);

test("cut by a disk that fills on the way", async () => {
  const homes = "/home/claude";
  const mounted = `mountpoint -q ${homes} && [ "$(stat -f -c %T ${homes})" = tmpfs ]`;
  await cluster.lab.sh(
    "agent-2",
    `mount -t tmpfs -o size=${MEGABYTES + 200}m,uid=1337,gid=1337,mode=0750 none ${homes} && ${mounted} && systemctl restart convocate-agent`,
  );
  try {
    await onlyRow(cluster, session.id);
    const first = move("agent-2");
    await underWay("agent-2");
    // All of that small disk but 4 MiB is taken within a moment.
    const free = `$(( $(df --output=avail -B1 ${homes} | tail -1) - 4194304 ))`;
    // More may have come since it was asked how much is free.
    await cluster.lab.sh(
      "agent-2",
      `${mounted} || exit 1; for try in $(seq 50); do fallocate -l ${free} ${homes}/.filler 2>/dev/null && exit 0; done; exit 1`,
    );
    expect(await first).toMatchObject({ exitCode: 4, stderr: expect.stringContaining("is full") });
    const left = await cluster.lab.sh("agent-2", `ls -A ${homes}`);
    expect(left.trim()).toBe(".filler");
    const refused = await move("agent-2");
    expect(refused).toMatchObject({ exitCode: 4, stderr: expect.stringMatching(/its home takes \d+ MiB and/) });
  } finally {
    await cluster.lab.sh("agent-2", `systemctl stop convocate-agent; umount ${homes}; systemctl start convocate-agent`);
  }
  await wholeThenMoved("agent-2");
}, 600_000);
