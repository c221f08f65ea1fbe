import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { acceptanceCluster, command, ROOT, type TestCluster } from "../support/cluster.js";

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
}, 1_200_000);
afterAll(async () => cluster.close());

/** Pieces of text that would give a private key or the passphrase away: the middle line of each key. */
async function secrets(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const hosts = {
    shell:
      "/etc/convocate/status_host_ed25519_key /etc/convocate/agent-keys/*/shell_to_agent_ed25519_key /etc/convocate/rsyslog-ca/server.key",
    "agent-1":
      "/etc/convocate-agent/ssh_host_ed25519_key /etc/convocate-agent/agent_to_shell_ed25519_key /etc/convocate-agent/rsyslog-tls/client.key",
  };
  for (const [host, files] of Object.entries(hosts)) {
    for (const file of (await cluster.lab.sh(host, `ls ${files}`)).trim().split("\n")) {
      const lines = (await cluster.lab.sh(host, `cat ${file}`)).trim().split("\n");
      found.set(`${host}:${file}`, lines[Math.floor(lines.length / 2)]!);
    }
  }
  found.set("passphrase", (await readFile(join(ROOT, ".convocate/passphrase"), "utf8")).trim());
  const lab = (await readFile(cluster.lab.keyPath, "utf8")).trim().split("\n");
  found.set("lab key", lab[Math.floor(lab.length / 2)]!);
  return found;
}

const leaks = (text: string, known: Map<string, string>): string[] =>
  [...known].filter(([, secret]) => text.includes(secret)).map(([name]) => name);

test("the state holds no private key and no passphrase in the clear", async () => {
  const known = await secrets();
  expect(known.size).toBeGreaterThanOrEqual(8);
  const dir = join(ROOT, ".convocate/state/.pulumi");
  const files = (await readdir(dir, { recursive: true, withFileTypes: true })).filter(
    (entry) => entry.isFile() && entry.name.includes(cluster.stack),
  );
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const text = await readFile(join(file.parentPath, file.name), "utf8");
    expect(leaks(text, known)).toEqual([]);
    expect(text).not.toMatch(/BEGIN [A-Z ]*PRIVATE KEY/);
  }
});

test("no log on any host holds one", async () => {
  const known = await secrets();
  for (const { name } of cluster.lab.hosts) {
    const logs = await cluster.lab.sh(
      name,
      "journalctl --no-pager -o cat | tail -c 4000000; find /var/log -type f -size -4M -not -path '*/journal/*' -exec cat {} +",
    );
    expect(logs.length).toBeGreaterThan(0);
    expect(leaks(logs, known)).toEqual([]);
    expect(logs).not.toMatch(/BEGIN [A-Z ]*PRIVATE KEY/);
  }
}, 120_000);

test("no process on any host, or here, shows one during an up that has much to do, nor does up print one", async () => {
  const known = await secrets();
  // enough to write again: keys' neighbours, certificates, a unit and the token
  await cluster.lab.sh(
    "agent-1",
    "rm -r /etc/convocate-agent/rsyslog-tls /etc/rsyslog.d/10-convocate-client.conf /etc/convocate-agent/settings.json",
  );
  await cluster.lab.sh("shell", "rm /etc/convocate/rsyslog-ca/server.key /etc/convocate/status_authorized_keys");
  const up = cluster.pulumi(["up", "--refresh", "--yes", "--skip-preview"]);
  const state = { done: false };
  void up.finally(() => (state.done = true));
  let samples = 0;
  while (!state.done) {
    const listings = await Promise.all([
      command(["ps", "axww", "-o", "args"]),
      ...cluster.lab.hosts.map(({ name }) => cluster.lab.exec(name, ["ps", "axeww", "-o", "args"])),
    ]);
    for (const { stdout } of listings) expect(leaks(stdout, known)).toEqual([]);
    samples++;
    await sleep(100);
  }
  const { exitCode, stdout, stderr } = await up;
  expect(exitCode).toBe(0);
  expect(samples).toBeGreaterThan(3);
  expect(leaks(`${stdout}${stderr}`, await secrets())).toEqual([]);
}, 300_000);
