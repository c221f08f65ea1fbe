import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { TmuxTerminal } from "../support/tmux.js";

// Keys and certificates are replaced while the cluster is at work.

let cluster: TestCluster;
let sessionId: string;
beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  sessionId = (await cluster.json<{ id: string }>(["new", "rotates", "--agent", "agent-1"])).id;
}, 1_200_000);
afterAll(async () => {
  await cluster.convocate(["delete", sessionId, "--yes"]);
  await cluster.close();
}, 120_000);

const line = async (host: string, script: string): Promise<string> => (await cluster.lab.sh(host, script)).trim();
const done = ({ exitCode, stderr }: { exitCode: number; stderr: string }): void =>
  expect({ exitCode, said: exitCode === 0 ? "" : stderr }).toEqual({ exitCode: 0, said: "" });

test("init-agent --rotate-keys: both keys are new, the old ones are let in no more, and an attach comes back by itself", async () => {
  const id = await line("agent-1", "cat /etc/convocate-agent/agent-id");
  const atAgent = "cut -d ' ' -f 2 /etc/convocate-agent/authorized_keys";
  const atShell = `awk '$NF == "${id}" { print $2 }' /etc/convocate/status_authorized_keys`;
  const old = [await line("agent-1", atAgent), await line("shell", atShell)];
  const argv = [...cluster.shellTty(), "/usr/local/bin/convocate", "attach", "rotates"];
  await using terminal = await TmuxTerminal.open(argv);
  await terminal.see(/Claude Code|\? for shortcuts/);

  done(await cluster.convocateHost(["init-agent", "--host", "agent-1", "--rotate-keys"]));
  const now = [await line("agent-1", atAgent), await line("shell", atShell)];
  // One each, so the old one is gone from the lists.
  for (const [i, key] of now.entries()) {
    expect(key).toMatch(/^AAAA\S+$/);
    expect(key).not.toBe(old[i]);
  }
  expect((await cluster.convocate(["agents", "agent-1", "--wait", "30"])).exitCode).toBe(0);
  await terminal.type("typed with new keys");
  await terminal.see("typed with new keys");
  expect(await cluster.convocateHost(["plan"])).toMatchObject({ exitCode: 0 });
}, 600_000);

test("init-shell --rotate-ca: another authority, every certificate of it in one run, and logs go on", async () => {
  const authority = "openssl x509 -in /etc/convocate-agent/rsyslog-tls/ca.crt -noout -fingerprint";
  const old = await line("agent-1", authority);
  done(await cluster.convocateHost(["init-shell", "--host", "shell", "--rotate-ca"]));
  const now = await line("agent-1", authority);
  expect(now).not.toBe(old);
  expect(await line("agent-2", authority)).toBe(now);
  const { exitCode, stdout } = await cluster.convocateHost(["doctor"]);
  expect({ exitCode, failed: stdout.split("\n").filter((one) => one.startsWith("fail")) }).toEqual({
    exitCode: 0,
    failed: [],
  });
  expect(await cluster.convocateHost(["plan"])).toMatchObject({ exitCode: 0 });
}, 600_000);
