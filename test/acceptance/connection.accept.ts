import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { connectionContract } from "../support/connection/contract.js";
import { createPool } from "../../infra/connection/index.js";
import type { ConnectionPool, HostAddress } from "../../infra/connection/index.js";

// A lab of its own: what this test breaks, no other test sees.
const LAB = "t-connection";
const root = process.cwd();
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

  test("a sudo that asks for a password is told in one line", async () => {
    const connection = await pool.connect({ ...shell, user: "pwadmin" });
    await expect(connection.run(["id"])).rejects.toMatchObject({
      code: "SUDO_NEEDS_PASSWORD",
      message: expect.stringContaining("sudo wants a password for pwadmin"),
    });
  });

  test("a user whom sshd does not let in is AUTH_REJECTED", async () => {
    await expect(pool.connect({ ...shell, user: "nobody" })).rejects.toMatchObject({ code: "AUTH_REJECTED" });
  });
});
