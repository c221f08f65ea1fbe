import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { acceptanceCluster, command, ROOT, type TestCluster } from "../support/cluster.js";
import { TmuxTerminal } from "../support/tmux.js";

// Keys and certificates are replaced while the cluster is at work.

let cluster: TestCluster;
let sessionId: string;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "convocate-rotate-"));
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  sessionId = (await cluster.json<{ id: string }>(["new", "rotates", "--agent", "agent-1"])).id;
}, 1_200_000);
afterAll(async () => {
  await cluster.convocate(["delete", sessionId, "--yes"]);
  await cluster.close();
  await rm(dir, { recursive: true });
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

/** Nothing fails on the diagnostic walk, which sends a log line from each agent to the shell host. */
async function allWell(): Promise<void> {
  const { exitCode, stdout } = await cluster.convocateHost(["doctor"]);
  const failed = stdout.split("\n").filter((one) => one.startsWith("fail"));
  expect({ exitCode, failed }).toEqual({ exitCode: 0, failed: [] });
}
const openssl = (...argv: string[]): void => void execFileSync("openssl", argv, { stdio: "ignore" });

test("certificates past the renewal limit: plan and doctor tell of them, up makes them anew, and logs go on", async () => {
  const state = join(dir, "state.json");
  await cluster.pulumi(["stack", "export", "--show-secrets", "--file", state]);
  const exported = JSON.parse(await readFile(state, "utf8")) as {
    deployment: { resources: { urn: string; outputs?: Record<string, unknown> }[] };
  };
  const outputs = (end: string): Record<string, unknown> =>
    exported.deployment.resources.find(({ urn }) => urn.endsWith(end))!.outputs!;
  const authority = outputs("/log-authority");
  const secret = authority["keyPem"] as { plaintext: string };
  await writeFile(join(dir, "ca.crt"), String(authority["certPem"]));
  await writeFile(join(dir, "ca.key"), String(JSON.parse(secret.plaintext)), { mode: 0o600 });
  // As it will be in eleven months: of the same authority, with thirty days to go.
  const [key, request, cert] = ["old.key", "old.csr", "old.crt"].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  openssl("req", "-newkey", "rsa:2048", "-noenc", "-keyout", key, "-out", request, "-subj", "/CN=agent-1");
  await writeFile(join(dir, "ext"), "subjectAltName=DNS:agent-1\nextendedKeyUsage=clientAuth\n");
  const sign = [
    "-CA",
    join(dir, "ca.crt"),
    "-CAkey",
    join(dir, "ca.key"),
    "-CAcreateserial",
    "-extfile",
    join(dir, "ext"),
  ];
  openssl("x509", "-req", "-in", request, "-days", "30", ...sign, "-out", cert);
  const [certPem, keyPem] = [await readFile(cert, "utf8"), await readFile(key, "utf8")];
  const ours = outputs("::agent-1/log-certificate");
  Object.assign(ours, { certPem, keyPem: { ...(ours["keyPem"] as object), plaintext: JSON.stringify(keyPem) } });
  await writeFile(state, JSON.stringify(exported));
  await cluster.pulumi(["stack", "import", "--file", state]);
  const tls = "/etc/convocate-agent/rsyslog-tls";
  await cluster.lab.exec("agent-1", ["sh", "-c", `cat >${tls}/client.crt`], { input: certPem });
  await cluster.lab.exec("agent-1", ["sh", "-c", `cat >${tls}/client.key; systemctl restart rsyslog`], {
    input: keyPem,
  });

  const plan = await cluster.convocateHost(["plan"]);
  expect(plan).toMatchObject({ exitCode: 2, stdout: expect.stringContaining("ends in fewer than 60 days") });
  const { stdout } = await cluster.convocateHost(["doctor", "--host", "agent-1"]);
  expect(stdout).toMatch(/^warn .*certificate.*(29|30) days/m);
  await cluster.up();
  const ends = await line("agent-1", `openssl x509 -in ${tls}/client.crt -noout -enddate | cut -d = -f 2`);
  expect(Date.parse(ends) - Date.now()).toBeGreaterThan(360 * 86_400_000);
  await allWell();
  expect(await cluster.convocateHost(["plan"])).toMatchObject({ exitCode: 0 });
}, 600_000);

test("init-agent --ca-cert --ca-key: an authority from elsewhere signs every certificate, its key is seen nowhere, and logs go on", async () => {
  const [cert, key] = [join(dir, "elsewhere.crt"), join(dir, "elsewhere.key")];
  const subject = ["-days", "900", "-subj", "/O=Elsewhere/CN=Logs"];
  openssl("req", "-x509", "-newkey", "rsa:2048", "-noenc", "-keyout", key, "-out", cert, ...subject);
  const secret = (await readFile(key, "utf8")).split("\n")[5]!;
  const argv = ["init-agent", "--host", "agent-1", "--ca-cert", cert, "--ca-key", key];
  const run = cluster.convocateHost(argv, { timeoutMs: 600_000 });
  const state = { done: false };
  void run.finally(() => (state.done = true));
  let looks = 0;
  while (!state.done) {
    const listings = await Promise.all([
      command(["ps", "axww", "-o", "args"]),
      ...cluster.lab.hosts.map(({ name }) => cluster.lab.exec(name, ["ps", "axeww", "-o", "args"])),
    ]);
    for (const { stdout } of listings) expect(stdout).not.toContain(secret);
    looks++;
    await sleep(100);
  }
  const brought = await run;
  done(brought);
  expect(looks).toBeGreaterThan(3);
  expect(`${brought.stdout}${brought.stderr}`).not.toContain(secret);
  expect(await readFile(join(ROOT, `Pulumi.${cluster.stack}.yaml`), "utf8")).not.toContain(secret);
  expect((await cluster.pulumi(["stack", "export"])).stdout).not.toContain(secret);
  for (const agent of ["agent-1", "agent-2"])
    expect(
      await line(agent, "openssl x509 -in /etc/convocate-agent/rsyslog-tls/client.crt -noout -issuer -nameopt RFC2253"),
    ).toBe("issuer=CN=Logs,O=Elsewhere");
  await allWell();
  expect(await cluster.convocateHost(["plan"])).toMatchObject({ exitCode: 0 });

  const mismatch = ["init-agent", "--host", "agent-1", "--ca-cert", cert, "--ca-key", cluster.lab.keyPath];
  const refused = await cluster.convocateHost(mismatch);
  expect(refused).toMatchObject({ exitCode: 4, stderr: expect.stringContaining(cluster.lab.keyPath) });
  expect(refused.stderr.trim().split("\n")).toHaveLength(1);
}, 900_000);

test("init-shell --rotate-ca: another authority, every certificate of it in one run, and logs go on", async () => {
  const authority = "openssl x509 -in /etc/convocate-agent/rsyslog-tls/ca.crt -noout -fingerprint";
  const old = await line("agent-1", authority);
  done(await cluster.convocateHost(["init-shell", "--host", "shell", "--rotate-ca"]));
  const now = await line("agent-1", authority);
  expect(now).not.toBe(old);
  expect(await line("agent-2", authority)).toBe(now);
  expect(await readFile(join(ROOT, `Pulumi.${cluster.stack}.yaml`), "utf8")).not.toContain("authorityKey");
  await allWell();
  expect(await cluster.convocateHost(["plan"])).toMatchObject({ exitCode: 0 });
}, 600_000);
