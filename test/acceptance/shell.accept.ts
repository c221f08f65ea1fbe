import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { AgentEvent } from "../../runtime/domain/index.js";
import { acceptanceCluster, command, ROOT, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { TmuxTerminal } from "../support/tmux.js";

/** The shell host as operators and other machines see it: the client, the events, names, the login. */
let cluster: TestCluster;
/** Of this file's sessions, so that no other file's are touched. */
const made: string[] = [];

interface Row {
  id: string;
  name: string;
  agent: string | null;
  dns_name: string | null;
  status: { state: string };
}

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  await eventually(
    "both agents to be heard",
    async () => (await cluster.convocate(["agents", "--wait", "30"])).exitCode === 0,
    { timeoutMs: 120_000 },
  );
}, 1_200_000);

afterAll(async () => {
  for (const id of made) await cluster.convocate(["delete", id, "--yes"]);
  await cluster.close();
}, 180_000);

async function newSession(name: string, ...options: string[]): Promise<Row> {
  const session = await cluster.json<Row>(["new", name, ...options]);
  made.push(session.id);
  return session;
}

async function eventsOf(id: string): Promise<string[]> {
  const { stdout } = await cluster.convocate(["events", "--since", "30m", "--json"]);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as AgentEvent)
    .filter((event) => event.session_id === id)
    .map(({ type }) => type);
}

test("a program whose reader has enough ends without a word", async () => {
  const script = `node_modules/.bin/node dist/programs/convocate.mjs completion bash | true; echo "\${PIPESTATUS[0]}"`;
  expect(await command(["bash", "-c", script])).toEqual({ exitCode: 0, stdout: "0\n", stderr: "" });
}, 60_000);

test("each program starts from what was built", async () => {
  const release = (await readFile(join(ROOT, "dist/release"), "utf8")).trim();
  const node = join(ROOT, "node_modules/.bin/node");
  for (const program of [
    "dist/programs/convocate.mjs",
    "dist/programs/convocate-agent.mjs",
    "dist/convocate-host.mjs",
  ]) {
    const { stdout, stderr } = await command([node, "--disable-warning=ExperimentalWarning", program, "version"]);
    expect({ program, stdout: stdout.trim(), stderr }).toEqual({ program, stdout: release, stderr: "" });
  }
  for (const unit of ["convocate-agent", "convocate-status"]) {
    const host = unit === "convocate-agent" ? "agent-1" : "shell";
    expect((await cluster.lab.exec(host, ["systemctl", "is-active", unit])).stdout.trim()).toBe("active");
  }
  // The service itself, a second one on folders of its own.
  const serve = `
    mount -t tmpfs none /run/convocate
    mount -t tmpfs none /var/lib/convocate
    /usr/local/bin/convocate status-serve --port 2233 >/run/convocate/out & pid=$!
    for i in $(seq 100); do if grep -q "convocate-status serves" /run/convocate/out; then break; fi; sleep 0.2; done
    kill -TERM $pid; wait $pid; cat /run/convocate/out`;
  const { stdout } = await cluster.lab.exec("shell", ["unshare", "--mount", "sh", "-c", serve]);
  expect(stdout).toContain("convocate-status serves");
  expect(stdout).toContain("convocate-status stops");
}, 120_000);

test("a session is made on the agent with room, shown, started, stopped, edited, and each is an event", async () => {
  const session = await newSession("cli-one", "--no-start", "--memory", "512M");
  expect(["agent-1", "agent-2"]).toContain(session.agent);
  expect(await cluster.json(["show", session.id.slice(0, 8)])).toMatchObject({ id: session.id, reachable: true });
  expect(await cluster.json(["edit", session.id, "--name", "cli-two", "--memory", "256M"])).toMatchObject({
    name: "cli-two",
    limits: { memory_bytes: 256 * 1024 ** 2 },
  });
  expect(await cluster.json(["capacity"])).toMatchObject({ agents: [{ error: null }, { error: null }] });
  expect(await cluster.json(["settings", "agent-1"])).toMatchObject({ effective: { cpu_percent: 90 } });
  expect((await cluster.convocate(["delete", session.id, "--yes"])).exitCode).toBe(0);
  const wanted = ["container.created", "container.edited", "container.deleted"];
  await eventually("its events", async () => String(await eventsOf(session.id)) === String(wanted));

  // What convocate-status knows is on disk.
  await cluster.lab.sh("shell", "systemctl restart convocate-status");
  await eventually("its events, after a restart", async () => String(await eventsOf(session.id)) === String(wanted));
}, 180_000);

/** What a machine that is no part of the cluster gets for a name from the shell host's dnsmasq. */
async function resolvedOutside(name: string): Promise<string> {
  const { stdout } = await command([
    "docker",
    "run",
    "--rm",
    "--network",
    `convocate-lab-${cluster.lab.name}`,
    "--dns",
    cluster.lab.host("shell").address,
    "--entrypoint",
    "getent",
    await labImage(),
    "ahostsv4",
    name,
  ]);
  return stdout.split(/\s/)[0] ?? "";
}

async function labImage(): Promise<string> {
  const { stdout } = await command([
    "docker",
    "inspect",
    "--format",
    "{{.Image}}",
    `convocate-lab-${cluster.lab.name}-shell`,
  ]);
  return stdout.trim();
}

const resolvedOnShell = async (name: string): Promise<string> =>
  (
    await cluster.lab.exec("shell", [
      "awk",
      "-v",
      `name=${name}`,
      "$2 == name { print $1 }",
      "/var/lib/convocate/dnsmasq-hosts",
    ])
  ).stdout.trim();

test("a DNS name is served within a second to any machine, stays while its agent is away, and goes with its session", async () => {
  const name = `web-${randomUUID().slice(0, 8)}.t-cluster`;
  const address = cluster.lab.host("agent-1").address;
  const session = await newSession("named", "--agent", "agent-1", "--dns", name.toUpperCase());
  await eventually("the record", async () => (await resolvedOnShell(name)) === address, { everyMs: 50 });
  await eventually("the name to resolve from outside", async () => (await resolvedOutside(name)) === address);

  const inside = ["docker", "exec", `convocate-session-${session.id}`, "getent", "ahostsv4", name];
  await eventually("the name to resolve in a session", async () =>
    (await cluster.lab.exec("agent-1", inside)).stdout.startsWith(address),
  );

  const taken = await cluster.convocate(["new", "other", "--agent", "agent-2", "--no-start", "--dns", name]);
  expect(taken).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("named on agent-1") });

  await cluster.lab.pause("agent-1");
  try {
    await cluster.lab.sh("shell", "systemctl restart convocate-status");
    await eventually("convocate-status to be back", async () => (await cluster.convocate(["events"])).exitCode === 0);
    expect(await resolvedOutside(name)).toBe(address);
    const { sessions } = await cluster.json<{ sessions: (Row & { reachable: boolean })[] }>(["ls"]);
    expect(sessions.find(({ id }) => id === session.id)).toMatchObject({ name: "named", reachable: false });
    const refused = await cluster.convocate(["new", "other", "--agent", "agent-2", "--no-start", "--dns", name]);
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("named on agent-1") });
  } finally {
    await cluster.lab.unpause("agent-1");
  }
  await eventually(
    "agent-1 to be back",
    async () => (await cluster.convocate(["agents", "agent-1", "--wait", "30"])).exitCode === 0,
  );
  const renamed = `api-${name}`;
  await cluster.json(["edit", session.id, "--dns", renamed]);
  await eventually("the new name", async () => (await resolvedOutside(renamed)) === address);
  expect((await cluster.convocate(["delete", session.id, "--yes"])).exitCode).toBe(0);
  await eventually("the names to be gone", async () => (await resolvedOnShell(renamed)) === "");
  expect(await resolvedOutside(name)).toBe("");
}, 240_000);

test("a session of an earlier release is an orphan: refused with the command that migrates it, deleted here", async () => {
  const id = randomUUID();
  await cluster.lab.sh("shell", `cd /home/claude && sudo -u claude mkdir ${id} && cat > ${id}/session.json`, {
    input: JSON.stringify({ uuid: id, name: "former", port: 0, protocol: "tcp", created_at: "2025-01-02T03:04:05Z" }),
  });
  const { stdout } = await cluster.convocate(["ls"]);
  expect(stdout.split("\n").find((line) => line.includes("former"))).toMatch(/^O/);
  const kill = await cluster.convocate(["kill", id]);
  expect(kill).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining(`migrate-session --agent AGENT --session ${id}`),
  });
  expect((await cluster.convocate(["delete", id, "--yes"])).exitCode).toBe(0);
  expect((await cluster.lab.exec("shell", ["test", "-e", `/home/claude/${id}`])).exitCode).toBe(1);
}, 120_000);

test("a full disk under convocate-status: it says so and lives on, and no event is lost", async () => {
  const state = "/var/lib/convocate";
  // On a small disk of its own, with all it knew.
  await cluster.lab.sh(
    "shell",
    `systemctl stop convocate-status; cp -a ${state} /tmp/state; mount -t tmpfs -o size=16m,mode=0755 none ${state}; cp -a /tmp/state/. ${state}; systemctl start convocate-status`,
  );
  try {
    await eventually(
      "agents to be heard",
      async () => (await cluster.convocate(["agents", "--wait", "20"])).exitCode === 0,
      {
        timeoutMs: 90_000,
      },
    );
    await cluster.lab.sh("shell", `dd if=/dev/zero of=${state}/filler bs=4k 2>/dev/null || true`);
    const session = await newSession("full-disk", "--no-start");
    const status = await eventually("doctor to say so", async () => {
      const { stdout } = await cluster.convocate(["doctor", "--json"]);
      const { checks } = JSON.parse(stdout) as { checks: { check: string; state: string; message: string }[] };
      return checks.find(({ check, state: how }) => check === "convocate-status" && how === "fail");
    });
    expect(status.message).toMatch(/cannot store events/);
    expect((await cluster.convocate(["agents"])).exitCode).toBe(0);
    await cluster.lab.sh("shell", `rm ${state}/filler`);
    await eventually("the event", async () => (await eventsOf(session.id)).includes("container.created"));
  } finally {
    await cluster.lab.sh(
      "shell",
      `systemctl stop convocate-status; rm -f ${state}/filler; rm -rf /tmp/after; cp -a ${state} /tmp/after; umount ${state}; cp -a /tmp/after/. ${state}; rm -rf /tmp/state /tmp/after; systemctl start convocate-status`,
    );
  }
  await eventually(
    "agents to be heard",
    async () => (await cluster.convocate(["agents", "--wait", "20"])).exitCode === 0,
    {
      timeoutMs: 90_000,
    },
  );
}, 240_000);

/** OpenSSH to the shell host as the service user, whose login the operator's key opens. */
async function asServiceUser(): Promise<string[]> {
  const key = await readFile(`${cluster.lab.keyPath}.pub`, "utf8");
  await cluster.lab.sh(
    "shell",
    "install -d -o claude -g claude -m 0700 /home/claude/.ssh; install -o claude -g claude -m 0600 /dev/stdin /home/claude/.ssh/authorized_keys",
    { input: key },
  );
  return ["ssh", ...cluster.lab.sshArgs("shell", "claude")];
}

test("ssh to the service user is the TUI, with a command it is the command, and a lost link leaves nothing behind", async () => {
  const ssh = await asServiceUser();
  const listed = await command([...ssh, "convocate ls --json"]);
  expect(listed).toMatchObject({ exitCode: 0 });
  expect(JSON.parse(listed.stdout)).toHaveProperty("sessions");
  expect((await command([...ssh, "echo $((6 * 7)); exit 5"])).exitCode).toBe(5);

  const tuis = async (): Promise<number> =>
    Number((await cluster.lab.exec("shell", ["pgrep", "-c", "-u", "claude", "-f", "convocate.mjs$"])).stdout);
  await eventually("the TUIs of other tests to be gone", async () => (await tuis()) === 0, { timeoutMs: 60_000 });
  {
    // The terminal goes, and with it the SSH client, without a word to the other end.
    await using terminal = await TmuxTerminal.open([...ssh.slice(0, 1), "-tt", ...ssh.slice(1)]);
    await terminal.see("agent-1");
    expect(await tuis()).toBe(1);
  }
  await eventually("nothing left of it", async () => (await tuis()) === 0);
  expect(
    (await cluster.lab.exec("shell", ["pgrep", "-c", "-u", "claude", "-f", "convocate-shell"])).stdout.trim(),
  ).toBe("0");
}, 180_000);
