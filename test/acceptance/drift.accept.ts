import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";

let cluster: TestCluster;
let sessionId: string;
let tag: string;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  sessionId = (await cluster.json<{ id: string }>(["new", "goes-on", "--agent", "agent-1"])).id;
  tag = (await cluster.lab.sh("agent-2", "cat /etc/convocate-agent/current-image")).trim();
}, 1_200_000);

afterAll(async () => {
  await cluster.convocate(["delete", sessionId, "--yes"]);
  await cluster.close();
}, 120_000);

interface Plan {
  changes: { host: string; resource: string; kind: string; operation: string; differences: { path: string }[] }[];
}

async function plan(): Promise<{ exitCode: number; found: string[] }> {
  const { exitCode, stdout, stderr } = await cluster.convocateHost(["plan", "--json"]);
  if (exitCode !== 0 && exitCode !== 2) throw new Error(`plan ended with ${exitCode}: ${stderr}`);
  const { changes } = JSON.parse(stdout) as Plan;
  return {
    exitCode,
    found: changes.map(
      ({ host, kind, differences }) => `${host} ${kind} ${differences.map(({ path }) => path).join(" ")}`,
    ),
  };
}
const pid = async (): Promise<string> =>
  (await cluster.lab.sh("agent-1", `docker inspect -f '{{.State.Pid}}' convocate-session-${sessionId}`)).trim();

/** Each by hand: where, what, and what a plan must call it. */
const drift = (): { host: string; script: string; named: RegExp }[] => [
  {
    host: "agent-1",
    script: "echo '# by hand' >> /etc/systemd/system/convocate-agent.service; systemctl daemon-reload",
    named: /^agent-1 Unit .*content/,
  },
  {
    host: "shell",
    script: "echo '# by hand' >> /etc/dnsmasq.d/10-convocate.conf",
    named: /^shell Files .*10-convocate\.conf/,
  },
  {
    host: "agent-2",
    script: "chmod 0644 /etc/convocate-agent/agent_to_shell_ed25519_key",
    named: /^agent-2 KeyPair .*mode/,
  },
  {
    host: "agent-1",
    script:
      "sed -i 's/^CPUQuota=.*/CPUQuota=10%/' /etc/systemd/system/convocate-sessions.slice; systemctl daemon-reload",
    named: /^agent-1 Slice /,
  },
  {
    host: "agent-2",
    script: "nft flush chain inet convocate to_host",
    named: /^agent-2 SessionFirewall loaded$/,
  },
  { host: "agent-2", script: `docker rmi ${tag}`, named: /^agent-2 ImagePush .*image/ },
];

test("nothing is planned where nothing drifted, with exit 0", async () => {
  expect(await plan()).toEqual({ exitCode: 0, found: [] });
}, 180_000);

test("a unit, a config file, a key's mode, the slice and the sessions' firewall edited by hand, and an image removed: plan names exactly those, up repairs exactly those, sessions go on", async () => {
  const before = await pid();
  const edits = drift();
  for (const { host, script } of edits) await cluster.lab.sh(host, script);

  const { exitCode, found } = await plan();
  expect(exitCode).toBe(2);
  expect(found).toHaveLength(edits.length);
  for (const { named } of edits) expect(found.filter((line) => named.test(line))).toHaveLength(1);

  const out = await cluster.up();
  expect(out).toMatch(new RegExp(`${edits.length} updated`));
  expect(out).not.toMatch(/\d+ (created|deleted|replaced)/);
  expect(await plan()).toEqual({ exitCode: 0, found: [] });

  await cluster.lab.sh("agent-1", "! grep -q 'by hand' /etc/systemd/system/convocate-agent.service");
  await cluster.lab.sh("shell", "! grep -q 'by hand' /etc/dnsmasq.d/10-convocate.conf");
  expect((await cluster.lab.sh("agent-2", "stat -c %a /etc/convocate-agent/agent_to_shell_ed25519_key")).trim()).toBe(
    "600",
  );
  await cluster.lab.sh("agent-1", "! grep -q 'CPUQuota=10%' /etc/systemd/system/convocate-sessions.slice");
  await cluster.lab.sh("agent-2", "nft list chain inet convocate to_host | grep 'dport 222 goto refuse' >/dev/null");
  await cluster.lab.sh("agent-2", `docker image inspect ${tag} >/dev/null`);

  expect(await pid()).toBe(before);
  await eventually("the session to be listed as running", async () => {
    const { sessions } = await cluster.json<{ sessions: { id: string; status: { state: string } }[] }>(["ls"]);
    return sessions.some(({ id, status }) => id === sessionId && status.state === "running");
  });
}, 600_000);
