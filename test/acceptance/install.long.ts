import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { labUp, type Lab } from "../lab/lab.js";
import { packagesOf } from "../../infra/components/index.js";
import { installArgv } from "../../infra/host/packages.js";
import { command, ROOT, type CommandResult } from "../support/cluster.js";
import { listing } from "../support/machine.js";

// Bare hosts, nothing but convocate-host: made ready, upgraded, booted, and made a cluster by a command each.

let lab: Lab;
let stack: string;
let inventory: string;
/** agent-1 with the packages, and nothing else done to it. */
let before: string[];
beforeAll(async () => {
  lab = await labUp({ name: "t-install", agents: 1, bare: true });
  stack = `test-${lab.name}`;
  inventory = join(ROOT, ".convocate/labs", lab.name, "own.yaml");
  await mkdir(join(inventory, ".."), { recursive: true });
  await writeFile(join(ROOT, `Pulumi.${stack}.yaml`), `config:\n  convocate:inventory: ${inventory}\n`);
}, 900_000);
afterAll(async () => {
  await command(["script/pulumi", "stack", "rm", "--yes", "--force", "--stack", stack, "--non-interactive"]);
  await rm(join(ROOT, `Pulumi.${stack}.yaml`), { force: true });
  await rm(inventory, { force: true });
  await lab.down();
}, 180_000);

async function convocateHost(...argv: string[]): Promise<CommandResult> {
  return await command(["node_modules/.bin/node", "dist/convocate-host.mjs", ...argv, "--stack", stack], {
    timeoutMs: 900_000,
  });
}
const done = (result: CommandResult): void =>
  expect({ exitCode: result.exitCode, said: result.exitCode === 0 ? "" : result.stderr }).toEqual({
    exitCode: 0,
    said: "",
  });
const first = (name: string): string[] => [
  ...["--host", lab.host(name).address, "--name", name, "--user", "admin"],
  ...["--identity", lab.keyPath, "--accept-new-host-key"],
];

test("install gets a bare host ready: user, packages, firewall with ssh open, our Node; and no service of ours yet", async () => {
  await lab.sh("shell", "apt-get -qq update; apt-get -qq install -y ufw >/dev/null; ufw allow 8080/tcp >/dev/null");
  done(await convocateHost("install", "--shell", ...first("shell")));
  const seen = await lab.sh(
    "shell",
    `id -u claude; dpkg-query -W -f '\${Package}\\n' rsyslog-gnutls tmux dnsmasq; ufw status | awk '$2 == "ALLOW" && ($1 == "22/tcp" || $1 == "8080/tcp") { print $1 }' | sort
     ls -d /usr/local/lib/convocate/node/*/bin/node | wc -l; find /etc/systemd/system -name 'convocate*' | wc -l`,
  );
  expect(seen).toBe("1337\ndnsmasq\nrsyslog-gnutls\ntmux\n22/tcp\n8080/tcp\n1\n0\n");
}, 900_000);

test("a host that wants a reboot after its upgrade is booted, and waited for", async () => {
  await lab.sh("shell", "touch /run/reboot-required");
  const installed = await convocateHost("install", "--host", "shell", "--dist-upgrade");
  done(installed);
  expect(installed.stderr).toContain("rebooting");
  // /run is memory: a boot that happened took the file with it.
  await lab.sh("shell", "[ ! -e /run/reboot-required ]");
}, 900_000);

test("the packages alone are the host's: they are there before we look", async () => {
  const names = packagesOf(["agent"]).flatMap((spec) => (spec.endsWith("?") ? [] : (spec.split("|")[0] ?? [])));
  await lab.sh("agent-1", `apt-get -qq update; ${installArgv(names).join(" ")} >/dev/null`, { timeoutMs: 600_000 });
  await lab.sh("agent-1", "systemctl start docker; ufw allow 8080/tcp >/dev/null");
  before = await listing(lab, "agent-1");
}, 900_000);

test("what clashes is told before anything is changed", async () => {
  await lab.sh("agent-1", "systemd-run -q --unit t-clash --socket-property=ListenStream=222 /bin/cat");
  const refused = await convocateHost("init-agent", ...first("agent-1"));
  expect(refused).toMatchObject({ exitCode: 4, stderr: expect.stringMatching(/systemd listens on port 222/) });
  await lab.sh("agent-1", "systemctl stop t-clash.socket; ! id claude");
}, 120_000);

test("a bare host becomes an agent by one command", async () => {
  done(await convocateHost("init-shell", "--host", "shell"));
  done(await convocateHost("init-agent", ...first("agent-1")));
  const agents = await lab.exec("shell", [
    "sudo",
    "-u",
    "claude",
    "/usr/local/bin/convocate",
    "agents",
    "--wait",
    "30",
  ]);
  expect(agents).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("agent-1") });
}, 900_000);

test("removed and purged, it is as it was before: files, accounts, units, firewall, settings", async () => {
  const id = (
    await lab.exec("shell", ["sudo", "-u", "claude", "/usr/local/bin/convocate", "new", "goes", "--json"], {
      timeoutMs: 120_000,
    })
  ).stdout;
  expect(id).toContain("goes");
  done(await convocateHost("remove", "--host", "agent-1", "--purge", "--yes", "--force"));
  expect(await listing(lab, "agent-1")).toEqual(before);
  await lab.sh("agent-1", "! ufw status | grep -qw active");
}, 900_000);
