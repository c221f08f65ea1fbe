import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newKeyPair } from "../support/keys.js";
import { stringify } from "yaml";
import { labUp, type Lab } from "../lab/lab.js";
import { command, type CommandResult } from "../support/cluster.js";

const STACK = "test-hosts";
let lab: Lab;
let dir: string;

beforeAll(async () => {
  lab = await labUp({ name: "t-accept", agents: 2 });
  dir = await mkdtemp(join(tmpdir(), "convocate-hosts-"));
  await command(["script/pulumi", "stack", "select", "--create", "--stack", STACK, "--non-interactive"]);
}, 600_000);

afterAll(async () => {
  await command(["script/pulumi", "stack", "rm", STACK, "--yes", "--force", "--non-interactive"]);
  await rm(dir, { recursive: true });
}, 120_000);

async function withInventory(text: string, argv: readonly string[]): Promise<CommandResult> {
  const path = join(dir, "inventory.yaml");
  await writeFile(path, text);
  const set = await command([
    "script/pulumi",
    "config",
    "set",
    "convocate:inventory",
    path,
    "--stack",
    STACK,
    "--non-interactive",
  ]);
  expect(set).toMatchObject({ exitCode: 0 });
  return await command(argv, { timeoutMs: 180_000 });
}
const plan = ["node_modules/.bin/node", "dist/convocate-host.mjs", "plan", "--stack", STACK];

test("every problem of a bad inventory is told with its line, with exit 2, before any host is touched", async () => {
  const { exitCode, stderr } = await withInventory(
    `cluster: bad
shell:
  name: shell
  address: not an address
  prot: 22
agents:
  - name: twin
    address: 192.0.2.1
    hostKey: ${newKeyPair("x").publicKey}
  - name: twin
    address: 192.0.2.2
    port: 70000
    hostKey: ${newKeyPair("x").publicKey}
`,
    plan,
  );
  expect(exitCode).toBe(2);
  for (const line of [4, 5, 10, 12]) expect(stderr).toMatch(new RegExp(`inventory\\.yaml:${line}:`));
  expect(stderr).toContain("port"); // what `prot` was meant to be
}, 60_000);

test("broken YAML is told with its line, with exit 2", async () => {
  const { exitCode, stderr } = await withInventory("cluster: bad\nshell: {name: shell\nagents: []\n", plan);
  expect(exitCode).toBe(2);
  expect(stderr).toMatch(/inventory\.yaml:\d+:/);
}, 60_000);

describe_hosts();

/** A host that cannot be used: each reason is told apart, in one line that names the host. */
function describe_hosts(): void {
  const up = [
    "script/pulumi",
    "up",
    "--yes",
    "--skip-preview",
    "--non-interactive",
    "--color",
    "never",
    "--stack",
    STACK,
  ];
  const shellWith = (extra: Record<string, unknown>): string =>
    stringify({
      cluster: "hosts",
      knownHosts: lab.knownHostsPath,
      shell: {
        name: "shell",
        address: lab.host("shell").address,
        user: "admin",
        identityFile: lab.keyPath,
        hostKey: hostKey(),
        ...extra,
      },
    });
  /** This machine's address on the lab's bridge: nothing listens on its port 2, and no firewall swallows the packet. */
  const gateway = (): string => lab.subnet.replace(/\.0\/24$/, ".1");
  let key = "";
  const hostKey = (): string => key;
  beforeAll(async () => {
    key = (await lab.sh("shell", "cat /etc/ssh/ssh_host_ed25519_key.pub")).trim();
  });

  test("a host that refuses the connection", async () => {
    const { exitCode, stdout } = await withInventory(shellWith({ address: gateway(), port: 2 }), up);
    expect(exitCode).not.toBe(0);
    expect(stdout).toMatch(/refused/i);
    expect(stdout).toContain("CONNECTION_REFUSED");
  }, 180_000);

  test("a host that does not answer", async () => {
    await lab.disconnect("shell");
    try {
      const { exitCode, stdout } = await withInventory(shellWith({}), up);
      expect(exitCode).not.toBe(0);
      expect(stdout).toContain("TIMEOUT");
    } finally {
      await lab.connect("shell");
    }
  }, 180_000);

  test("a host that rejects the key", async () => {
    const stranger = join(dir, "stranger");
    await writeFile(stranger, newKeyPair("stranger").privateKey, { mode: 0o600 });
    const { exitCode, stdout } = await withInventory(shellWith({ identityFile: stranger }), up);
    expect(exitCode).not.toBe(0);
    expect(stdout).toContain("AUTH_REJECTED");
    expect(stdout).toContain(stranger);
  }, 180_000);

  test("a host whose sudo wants a password", async () => {
    const { exitCode, stdout } = await withInventory(shellWith({ user: "pwadmin" }), up);
    expect(exitCode).not.toBe(0);
    expect(stdout).toContain("SUDO_NEEDS_PASSWORD");
  }, 180_000);
}
