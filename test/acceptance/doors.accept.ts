import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newKeyPair } from "../support/keys.js";
import { acceptanceCluster, command, ROOT, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { doorOf, type Door } from "../support/door.js";

let cluster: TestCluster;
let agent: Door;
let dir: string;
/** Both doors of ours: where, and which key file opens it. */
let doors: { name: string; host: string; port: number; key: string; hostKey: string; subsystem: string }[];

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  agent = await doorOf(cluster, "agent-1");
  dir = await mkdtemp(join(tmpdir(), "convocate-doors-"));
  await writeFile(join(dir, "agent"), agent.privateKey, { mode: 0o600 });
  await writeFile(join(dir, "stranger"), newKeyPair("stranger").privateKey, { mode: 0o600 });
  await writeFile(
    join(dir, "status"),
    await cluster.lab.sh("agent-1", "cat /etc/convocate-agent/agent_to_shell_ed25519_key"),
    { mode: 0o600 },
  );
  const statusHostKey = await cluster.lab.sh("agent-1", "cat /etc/convocate-agent/shell_host_key.pub");
  doors = [
    {
      name: "222",
      host: agent.host,
      port: 222,
      key: join(dir, "agent"),
      hostKey: agent.hostKey,
      subsystem: "convocate-agent-rpc",
    },
    {
      name: "223",
      host: cluster.lab.host("shell").address,
      port: 223,
      key: join(dir, "status"),
      hostKey: statusHostKey,
      subsystem: "convocate-status",
    },
  ];
}, 1_200_000);

afterAll(async () => {
  await cluster.close();
  await rm(dir, { recursive: true });
});

/** As OpenSSH itself prints it. */
async function fingerprintOf(publicKeyLine: string): Promise<string> {
  return (await command(["ssh-keygen", "-lf", "-"], { input: publicKeyLine })).stdout.split(" ")[1] ?? "none";
}

/** OpenSSH at a door, as a stranger with every trick would use it. */
async function ssh(door: (typeof doors)[number], options: string[], rest: string[] = [], key = door.key, input = "") {
  const known = join(dir, `known-${door.name}`);
  await writeFile(known, `[${door.host}]:${door.port} ${door.hostKey.split(" ").slice(0, 2).join(" ")}\n`);
  const fixed = [
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "StrictHostKeyChecking=yes",
    `UserKnownHostsFile=${known}`,
    "GlobalKnownHostsFile=/dev/null",
    "ConnectTimeout=10",
  ];
  return await command(
    [
      "ssh",
      "-F",
      "/dev/null",
      ...fixed.flatMap((option) => ["-o", option]),
      "-i",
      key,
      "-p",
      String(door.port),
      ...options,
      `x@${door.host}`,
      ...rest,
    ],
    { input, timeoutMs: 60_000 },
  );
}

test.each([0, 1])("door %#: the named subsystem opens with the right key", async (i) => {
  const door = doors[i]!;
  const { stdout, exitCode } = await ssh(door, ["-s"], [door.subsystem], door.key, '{"op":"ping"}\n');
  expect(exitCode).toBe(0);
  if (door.name === "222") expect(JSON.parse(stdout)).toMatchObject({ ok: true, result: { agent_id: agent.agentId } });
});

test.each([0, 1])("door %#: an unknown key and a password login are refused", async (i) => {
  const door = doors[i]!;
  const stranger = await ssh(door, ["-s"], [door.subsystem], join(dir, "stranger"));
  expect(stranger.stderr).toMatch(/Permission denied \(publickey\)/);
  const password = await ssh(
    door,
    ["-s", "-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password,keyboard-interactive"],
    [door.subsystem],
  );
  expect(password.stderr).toMatch(/Permission denied \(publickey\)/);
});

test.each([0, 1])("door %#: shell, exec, other subsystems and forwards are refused", async (i) => {
  const door = doors[i]!;
  expect((await ssh(door, [], [])).stderr).toMatch(/shell request failed/);
  expect((await ssh(door, [], ["id"])).stderr).toMatch(/exec request failed/);
  expect((await ssh(door, ["-s"], ["sftp"])).stderr).toMatch(/subsystem request failed/);
  expect((await ssh(door, ["-W", "127.0.0.1:22"])).stderr).toMatch(/administratively prohibited|open failed/);
  const forward = await ssh(door, ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22"]);
  expect(forward.stderr).toMatch(/remote port forwarding failed/);
});

test("ssh-audit finds no fail and no warn at either door", async () => {
  const venv = join(ROOT, ".convocate/ssh-audit");
  const made = await command(
    [
      "sh",
      "-c",
      `[ -x "${venv}/bin/ssh-audit" ] || { python3 -m venv "${venv}" && "${venv}/bin/pip" install --quiet ssh-audit==3.3.0; }`,
    ],
    { timeoutMs: 300_000 },
  );
  expect(made).toMatchObject({ exitCode: 0 });
  for (const { host, port } of doors) {
    const audit = await command([join(venv, "bin/ssh-audit"), "--json", "--port", String(port), host], {
      timeoutMs: 120_000,
    });
    const report = JSON.parse(audit.stdout) as Record<string, { notes?: { fail?: string[]; warn?: string[] } }[]>;
    const found = ["kex", "key", "enc", "mac"].flatMap((part) =>
      (report[part] ?? []).flatMap((one) => [...(one.notes?.fail ?? []), ...(one.notes?.warn ?? [])]),
    );
    expect(report["kex"]?.length).toBeGreaterThan(0);
    expect(found).toEqual([]);
  }
}, 600_000);

test("a wrong host key at 222 is refused by the shell, with both fingerprints", async () => {
  const path = `/etc/convocate/agent-keys/${agent.agentId}/host_key.pub`;
  const wrong = newKeyPair("wrong").publicKey;
  const saved = await cluster.lab.sh("shell", `cat ${path}`);
  await cluster.lab.sh("shell", `cat > ${path}`, { input: `${wrong}\n` });
  try {
    const { stderr, exitCode } = await cluster.convocate(["agents", "agent-1"]);
    expect(exitCode).toBe(3);
    expect(stderr).toContain(await fingerprintOf(wrong));
    expect(stderr).toContain(await fingerprintOf(saved));
  } finally {
    await cluster.lab.sh("shell", `cat > ${path}`, { input: saved });
  }
}, 120_000);

test("a wrong host key at 223 is refused by the agent, with both fingerprints in its log", async () => {
  const path = "/etc/convocate-agent/shell_host_key.pub";
  const wrong = newKeyPair("wrong").publicKey;
  const saved = await cluster.lab.sh("agent-1", `cat ${path}`);
  const [a, b] = [await fingerprintOf(wrong), await fingerprintOf(saved)];
  await cluster.lab.sh("agent-1", `cat > ${path}; systemctl restart convocate-agent`, { input: `${wrong}\n` });
  try {
    await eventually("both fingerprints in the agent's log", async () => {
      const log = await cluster.lab.sh("agent-1", "journalctl -u convocate-agent -n 200 --no-pager -o cat");
      return log.includes(a) && log.includes(b);
    });
  } finally {
    await cluster.lab.sh("agent-1", `cat > ${path}; systemctl restart convocate-agent`, { input: saved });
  }
  await eventually(
    "the agent to be heard again",
    async () => (await cluster.convocate(["agents", "agent-1", "--wait", "30"])).exitCode === 0,
    { timeoutMs: 90_000 },
  );
}, 180_000);

test("a wrong host key at 22 is refused with both fingerprints, and nothing is done there", async () => {
  const key = "/etc/ssh/ssh_host_ed25519_key";
  const right = await cluster.lab.sh("agent-2", `cat ${key}.pub`);
  // somebody else's sshd answers at the agent's address
  await cluster.lab.sh(
    "agent-2",
    `mkdir -p /root/saved; cp -a /etc/ssh/ssh_host_* /root/saved/; rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f ${key}; systemctl restart ssh`,
  );
  try {
    const wrong = await cluster.lab.sh("agent-2", `cat ${key}.pub`);
    const { exitCode, stdout, stderr } = await cluster.convocateHost(["plan"]);
    expect(exitCode).toBe(3);
    expect(`${stdout}${stderr}`).toContain(await fingerprintOf(wrong));
    expect(`${stdout}${stderr}`).toContain(await fingerprintOf(right));
  } finally {
    await cluster.lab.sh(
      "agent-2",
      "rm /etc/ssh/ssh_host_*; cp -a /root/saved/* /etc/ssh/; rm -r /root/saved; systemctl restart ssh",
    );
  }
}, 180_000);
