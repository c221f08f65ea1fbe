import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { labName } from "../lab/lab.js";
import { KEY } from "../support/inventory.js";

// A lab and a stack of its own; both are taken away at the end.
const LAB = labName("t-host-errors");
const STACK = `test-${LAB}`;
const root = process.cwd();
const lab = join(root, ".convocate/labs", LAB);
const folder = join(root, ".convocate", STACK);
const inventory = join(folder, "inventory.yaml");
let address: string;

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}
function convocateHost(...argv: string[]): Ended {
  const { status, stdout, stderr } = spawnSync(join(root, "script/convocate-host"), [...argv, "--stack", STACK], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 120_000,
  });
  return { code: status, stdout, stderr };
}
const shell = (extra: string): void =>
  writeFileSync(
    inventory,
    `cluster: errors\nknownHosts: ${lab}/known_hosts\nshell: { name: shell, address: ${address}, ${extra} }\n` +
      `defaults: { user: admin, identityFile: ${lab}/id_ed25519 }\n`,
  );

beforeAll(() => {
  execFileSync(join(root, "script/lab"), ["up", "--name", LAB, "--agents", "0"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const { hosts } = JSON.parse(readFileSync(join(lab, "hosts.json"), "utf8")) as { hosts: { address: string }[] };
  address = hosts[0]!.address;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(root, `Pulumi.${STACK}.yaml`), `config:\n  convocate:inventory: ${inventory}\n`);
}, 600_000);
afterAll(() => {
  const pulumi = ["stack", "rm", "--yes", "--force", "--stack", STACK, "--non-interactive"];
  spawnSync(join(root, "script/pulumi"), pulumi, { stdio: "ignore" });
  rmSync(join(root, `Pulumi.${STACK}.yaml`), { force: true });
  rmSync(folder, { recursive: true, force: true });
  execFileSync(join(root, "script/lab"), ["down", "--name", LAB], { stdio: "ignore" });
}, 180_000);

describe("a bad inventory", () => {
  test("has every problem told with its line, exit code 2, and touches no host", () => {
    writeFileSync(
      inventory,
      `cluster: errors\nshell:\n  name: shell\n  adress: 10.0.0.1\nagents:\n` +
        `  - { name: a, address: 300.1.1.1 }\n  - { name: a, address: 10.0.0.3, port: 70000 }\n`,
    );
    for (const verb of [["plan"], ["init-agent", "--host", "a"]]) {
      const { code, stderr } = convocateHost(...verb);
      expect(code).toBe(2);
      for (const line of [
        ":4:3: unknown key shell.adress",
        ":6:25: agents[0].address",
        ":7:13: agents[1].name",
        ":7:41: agents[1].port",
      ])
        expect(stderr).toContain(line);
    }
  });

  test("broken YAML is told with its line", () => {
    writeFileSync(inventory, "cluster: errors\nshell: { name: shell\nagents: []\n");
    const { code, stderr } = convocateHost("plan");
    expect(code).toBe(2);
    expect(stderr).toMatch(/inventory\.yaml:\d+:\d+: /);
  });
});

describe("a host that cannot be reached is told apart, in one line with exit code 3", () => {
  const initShell = (extra: string): Ended => {
    shell(extra);
    return convocateHost("init-shell", "--host", "shell");
  };
  const oneLine = (ended: Ended, words: RegExp): void => {
    expect(ended.stderr).toMatch(words);
    expect(ended.stderr.trim().split("\n")).toHaveLength(1);
    expect(ended.code).toBe(3);
  };

  test(
    "it refuses the connection",
    () => oneLine(initShell(`port: 2, hostKey: ${KEY}`), /nothing listens there/),
    60_000,
  );
  test("it shows another host key: both fingerprints", () => {
    oneLine(initShell(`hostKey: ${KEY}`), /shows key SHA256:\S+ .*but pinned is SHA256:/);
  }, 60_000);
  test("it rejects the key", () => oneLine(initShell("user: nobody"), /sshd refuses the key .* for nobody/), 60_000);
  test("there is no way to it, or nobody has its name", () => {
    const nobody = address.replace(/\d+$/, "250");
    for (const [there, words] of [
      [nobody, /cannot be reached \(EHOSTUNREACH\): check its address/],
      ["no-such-host.invalid", /cannot be reached \((ENOTFOUND|EAI_AGAIN)\): check its address/],
    ] as const) {
      writeFileSync(
        inventory,
        `cluster: errors\nshell: { name: shell, address: ${there}, hostKey: ${KEY}, identityFile: ${lab}/id_ed25519 }\n`,
      );
      oneLine(convocateHost("init-shell", "--host", "shell"), words);
    }
  }, 60_000);
  test("it is no Debian, with exit code 1, and nothing is changed there", () => {
    const container = `convocate-lab-${LAB}-shell`;
    const on = (script: string): string =>
      execFileSync("docker", ["exec", container, "sh", "-c", script], { encoding: "utf8" });
    on("mv /etc/os-release /etc/os-release.own; printf 'ID=fedora\\nVERSION_ID=43\\n' >/etc/os-release");
    try {
      const ended = initShell("user: admin");
      expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining("shell: fedora 43 is not supported") });
      expect(ended.stderr.trim().split("\n")).toHaveLength(1);
      expect(on("id claude 2>&1 || :")).toContain("no such user");
    } finally {
      on("mv /etc/os-release.own /etc/os-release");
    }
  }, 60_000);
  test(
    "its sudo wants a password",
    () => oneLine(initShell("user: pwadmin"), /sudo wants a password for pwadmin/),
    60_000,
  );
  test("it does not answer", () => {
    const container = `convocate-lab-${LAB}-shell`;
    execFileSync("docker", ["pause", container]);
    try {
      oneLine(initShell("user: admin"), /no answer within 10 s/);
    } finally {
      execFileSync("docker", ["unpause", container]);
    }
  }, 60_000);
});
