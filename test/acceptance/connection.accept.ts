import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { connectionContract } from "../support/connection/contract.js";
import { labName } from "../lab/lab.js";
import { KEY } from "../support/inventory.js";
import { createPool, scanHostKey } from "../../infra/connection/index.js";
import type { ConnectionPool, HostAddress } from "../../infra/connection/index.js";
import { parseInventory } from "../../infra/inventory/index.js";

// A lab of its own: what this test breaks, no other test sees.
const LAB = labName("t-connection");
const root = process.cwd();
const dir = mkdtempSync(join(tmpdir(), "convocate-connection-"));
let pool: ConnectionPool;
let shell: Extract<HostAddress, { via: "ssh" }>;

beforeAll(() => {
  execFileSync(join(root, "script/lab"), ["up", "--name", LAB, "--agents", "0"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const directory = join(root, ".convocate/labs", LAB);
  const lab = JSON.parse(readFileSync(join(directory, "hosts.json"), "utf8")) as {
    hosts: { name: string; address: string; port: number; user: string }[];
  };
  shell = {
    via: "ssh",
    ...lab.hosts[0]!,
    hostKeys: [readFileSync(join(directory, "host-keys/shell.pub"), "utf8").trim()],
    identityFile: join(directory, "id_ed25519"),
  };
  pool = createPool();
}, 600_000);
afterAll(async () => {
  await pool[Symbol.asyncDispose]();
  execFileSync(join(root, "script/lab"), ["down", "--name", LAB], { stdio: "ignore" });
  rmSync(dir, { recursive: true });
}, 120_000);

describe("a real sshd", () => {
  connectionContract(() => pool.connect(shell));

  test("a user who may sudo runs as root, unless told not to", async () => {
    const connection = await pool.connect(shell);
    expect((await connection.run(["id", "-un"])).stdout).toBe("root\n");
    expect((await connection.run(["id", "-un"], { root: false })).stdout).toBe("admin\n");
  });

  test("a host that allows two sessions at a time gets all its commands done", async () => {
    const connection = await pool.connect(shell);
    const drop = "/etc/ssh/sshd_config.d/t-sessions.conf";
    // Not a reload: sshd starts anew at some moment after one, and listens to nobody meanwhile.
    await connection.run(["sh", "-c", `echo MaxSessions 2 > ${drop}; systemctl restart ssh`]);
    try {
      await using own = createPool();
      const narrow = await own.connect(shell);
      const runs = Array.from({ length: 30 }, () => narrow.run(["true"]));
      expect((await Promise.all(runs)).every((result) => result.exitCode === 0)).toBe(true);
    } finally {
      await connection.run(["sh", "-c", `rm ${drop}; systemctl restart ssh`]);
    }
  }, 60_000);

  test("a sudo that asks for a password is told in one line, with what to do", async () => {
    const connection = await pool.connect({ ...shell, user: "pwadmin" });
    await expect(connection.run(["id"])).rejects.toMatchObject({
      code: "SUDO_NEEDS_PASSWORD",
      message: expect.stringMatching(/sudo wants a password for pwadmin.*sudoPasswordFile/),
    });
  });

  test("a sudo that asks for a password gets it from a file, and commands their own input whole", async () => {
    const sudoPasswordFile = join(dir, "sudo");
    writeFileSync(sudoPasswordFile, "pwadmin\n", { mode: 0o600 });
    const connection = await pool.connect({ ...shell, user: "pwadmin", sudoPasswordFile });
    expect((await connection.run(["id", "-un"])).stdout).toBe("root\n");
    expect((await connection.run(["cat"], { input: "one\ntwo" })).stdout).toBe("one\ntwo");
    const stream = Readable.from([Buffer.from("from "), Buffer.from("a stream")]);
    expect((await connection.run(["cat"], { input: stream })).stdout).toBe("from a stream");
    // Where sudo asks for nothing, the password must not come to the command.
    const unasked = await pool.connect({ ...shell, user: "admin", sudoPasswordFile });
    expect((await unasked.run(["cat"], { input: "mine" })).stdout).toBe("mine");
    await expect(unasked.run(["false"])).rejects.toMatchObject({ code: "COMMAND_FAILED" });
  });

  test("a wrong sudo password, and a file that others can read, are told in one line without the password", async () => {
    const sudoPasswordFile = join(dir, "wrong");
    writeFileSync(sudoPasswordFile, "not-the-password\n", { mode: 0o600 });
    const wrong = await pool.connect({ ...shell, user: "pwadmin", sudoPasswordFile });
    const refused = await wrong.run(["id"]).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: "SUDO_NEEDS_PASSWORD",
      message: expect.stringMatching(/does not take the password in .*wrong for pwadmin/),
    });
    expect(String(refused)).not.toContain("not-the-password");
    const open = join(dir, "open");
    writeFileSync(open, "pwadmin\n", { mode: 0o644 });
    const careless = await pool.connect({ ...shell, user: "pwadmin", sudoPasswordFile: open });
    await expect(careless.run(["id"])).rejects.toThrow(`is open to others: chmod 600 ${open}`);
  }, 60_000);

  /** sshd on the host's own loopback: nobody gets there from here but through the host. */
  const behind = (): typeof shell => {
    const { address, port, user, hostKeys, identityFile } = shell;
    const jump = { address, port, user, hostKeys, ...(identityFile !== undefined && { identityFile }) };
    return { ...shell, name: "behind", address: "127.0.0.1", jump };
  };

  test("a host behind a jump host is reached through it, its key is pinned too, and the first contact goes that way", async () => {
    const connection = await pool.connect(behind());
    expect((await connection.run(["sh", "-c", "echo $SSH_CONNECTION"], { root: false })).stdout).toMatch(
      /^127\.0\.0\.1 /,
    );
    const shown = await scanHostKey(behind());
    expect(shell.hostKeys[0]).toContain(shown.line);
    const { jump } = behind();
    await expect(pool.connect({ ...behind(), jump: { ...jump!, hostKeys: [KEY] } })).rejects.toMatchObject({
      code: "HOST_KEY_MISMATCH",
      message: expect.stringContaining("behind's jump host"),
    });
    await expect(pool.connect({ ...behind(), hostKeys: [KEY] })).rejects.toMatchObject({
      code: "HOST_KEY_MISMATCH",
    });
    await expect(pool.connect({ ...behind(), port: 2 })).rejects.toMatchObject({
      code: "UNREACHABLE",
      message: expect.stringMatching(/jump host.* does not let us through/),
    });
  }, 60_000);

  test("a name of ~/.ssh/config is dialled as ssh would: address, port, user, key and jump host", async () => {
    const sshConfig = join(dir, "ssh-config");
    writeFileSync(
      sshConfig,
      `Host bastion\n  HostName ${shell.address}\n  User ${shell.user}\n` +
        `Host worker\n  HostName 127.0.0.1\n  Port ${shell.port}\n  User ${shell.user}\n  ProxyJump bastion\n` +
        `Host *\n  IdentityFile ${shell.identityFile!}\n`,
    );
    const knownHosts = join(dir, "known_hosts");
    writeFileSync(knownHosts, `bastion,worker ${shell.hostKeys[0]!}\n`);
    const text = `cluster: c\nsshConfig: ${sshConfig}\nknownHosts: ${knownHosts}\nshell: { name: s, address: worker }\n`;
    const connection = await pool.connect(parseInventory(text, join(dir, "inventory.yaml")).shell.host);
    expect((await connection.run(["id", "-un"])).stdout).toBe("root\n");
    expect((await connection.run(["sh", "-c", "echo $SSH_CONNECTION"], { root: false })).stdout).toMatch(
      /^127\.0\.0\.1 /,
    );
  }, 60_000);

  test("without a key file the SSH agent's keys are used", async () => {
    const socket = join(dir, "agent");
    const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
    const { identityFile, ...unkeyed } = shell;
    const before = process.env["SSH_AUTH_SOCK"];
    try {
      const env = { ...process.env, SSH_AUTH_SOCK: socket };
      for (let tries = 0; ; tries++)
        try {
          execFileSync("ssh-add", ["-q", identityFile!], { env, stdio: "ignore" });
          break;
        } catch (error) {
          if (tries > 50) throw error;
          execFileSync("sleep", ["0.1"]);
        }
      process.env["SSH_AUTH_SOCK"] = socket;
      await using own = createPool();
      const connection = await own.connect(unkeyed);
      expect((await connection.run(["id", "-un"])).stdout).toBe("root\n");
    } finally {
      if (before === undefined) delete process.env["SSH_AUTH_SOCK"];
      else process.env["SSH_AUTH_SOCK"] = before;
      agent.kill();
    }
  }, 60_000);

  test("a user whom sshd does not let in is AUTH_REJECTED", async () => {
    await expect(pool.connect({ ...shell, user: "nobody" })).rejects.toMatchObject({ code: "AUTH_REJECTED" });
  });
});
