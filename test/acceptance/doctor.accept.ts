import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
}, 1_200_000);
afterAll(async () => {
  await cluster.lab.sh("shell", "systemctl start dnsmasq rsyslog");
  await cluster.lab.sh("agent-1", "chmod 0600 /etc/convocate-agent/ssh_host_ed25519_key");
  await cluster.close();
}, 120_000);

interface Finding {
  host: string;
  check: string;
  level: "ok" | "warn" | "fail";
  mend?: string;
}
async function failing(): Promise<{ exitCode: number; checked: string[]; failed: string[] }> {
  const { exitCode, stdout } = await cluster.convocateHost(["doctor", "--json"]);
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  const name = ({ host, check }: Finding): string => `${host} ${check}`;
  const failed = findings.filter(({ level }) => level === "fail");
  for (const { mend } of failed) expect(mend).toBeTruthy();
  return { exitCode, checked: findings.map(name), failed: failed.map(name).sort() };
}

test("doctor finds a healthy cluster well, log forwarding and names included, and names what is broken and what mends it", async () => {
  // As any rollout may do; what the agents had sent there has been acknowledged, and they do not notice.
  await cluster.lab.sh("shell", "systemctl restart rsyslog");
  const well = await failing();
  expect(well).toMatchObject({ exitCode: 0, failed: [] });
  for (const check of [
    "agent-1 log forwarding",
    "agent-2 cgroup driver",
    "agent-1 disk of sessions",
    "shell dns",
    "shell agent agent-1",
  ])
    expect(well.checked).toContain(check);

  await cluster.lab.sh("shell", "systemctl stop dnsmasq rsyslog syslog.socket");
  await cluster.lab.sh("agent-1", "chmod 0644 /etc/convocate-agent/ssh_host_ed25519_key");
  const ill = await failing();
  expect(ill.exitCode).toBe(1);
  expect(ill.failed).toEqual([
    "agent-1 key /etc/convocate-agent/ssh_host_ed25519_key",
    "agent-1 log forwarding",
    "agent-2 log forwarding",
    "shell dns",
    "shell dnsmasq.service",
    "shell port 514",
    "shell rsyslog.service",
  ]);
  const { stdout } = await cluster.convocateHost(["doctor", "--host", "agent-1"]);
  const mend = `convocate-host init-agent --host agent-1 --stack ${cluster.stack}`;
  expect(stdout).toMatch(new RegExp(`^fail {2}agent-1 {2}key .*mode 644\\n.*mend: ${mend}$`, "m"));
}, 240_000);
