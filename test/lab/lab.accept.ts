import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { eventually } from "../support/eventually.js";
import { type Lab, labUp } from "./lab.js";

const execute = promisify(execFile);
const MINUTE = 60_000;

describe("a lab", () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await labUp({ name: "t-lab-accept", agents: 1 });
  }, 15 * MINUTE);

  afterAll(() => lab.down(), 2 * MINUTE);

  const ssh = (name: string, user: string, command: string) =>
    execute("ssh", [...lab.sshArgs(name, user), command], { timeout: 30_000 });

  test(
    "has hosts that answer ssh with their pinned key, under their own name",
    async () => {
      for (const { name } of lab.hosts) {
        expect((await ssh(name, "admin", "hostname && sudo -n id -u")).stdout).toBe(`${name}\n0\n`);
      }
    },
    MINUTE,
  );

  test(
    "has a user whose sudo wants a password",
    async () => {
      await expect(ssh("shell", "pwadmin", "sudo -n true")).rejects.toThrow("password is required");
    },
    MINUTE,
  );

  test(
    "gives a command its input, and back its output and exit code",
    async () => {
      const result = await lab.exec("agent-1", ["sh", "-c", "cat; echo wrong >&2; exit 7"], { input: "in\n" });
      expect(result).toEqual({ exitCode: 7, stdout: "in\n", stderr: "wrong\n" });
    },
    MINUTE,
  );

  test(
    "ends a command on the host at its deadline",
    async () => {
      expect((await lab.exec("agent-1", ["sleep", "4242"], { timeoutMs: 500 })).exitCode).toBe(137);
      expect((await lab.exec("agent-1", ["pgrep", "-fx", "sleep 4242"])).exitCode).toBe(1);
    },
    MINUTE,
  );

  test(
    "has a Docker whose containers the kernel holds to their slice",
    async () => {
      expect(await lab.sh("agent-1", "docker info --format '{{.CgroupDriver}}'")).toBe("systemd\n");
      const limit = await lab.sh(
        "agent-1",
        `printf '[Slice]\\nMemoryMax=64M\\n' >/etc/systemd/system/convocate-sessions.slice
       systemctl daemon-reload
       mkdir -p /tmp/root && cp --parents /bin/sleep $(ldd /bin/sleep | grep -o '/lib[^ ]*') /tmp/root
       tar -C /tmp/root -c . | docker import - tiny >/dev/null
       docker run -d --name held --cgroup-parent convocate-sessions.slice tiny /bin/sleep 600 >/dev/null
       grep -q /convocate.slice/convocate-sessions.slice/ "/proc/$(docker inspect --format '{{.State.Pid}}' held)/cgroup"
       cat /sys/fs/cgroup/{memory/,}convocate.slice/convocate-sessions.slice/memory.{limit_in_bytes,max} 2>/dev/null || true`,
      );
      expect(limit.trim()).toBe(String(64 << 20));
      await lab.sh("agent-1", "docker rm -f held");
    },
    MINUTE,
  );

  test(
    "has cgroup v2, IPv6 and memory of its own where its kernel is its own",
    async () => {
      if (lab.host("agent-1").kernel === "shared")
        return console.log(
          "nothing to look at: this host shares the machine's kernel (CONVOCATE_LAB_KERNEL=own gives it one)",
        );
      expect(await lab.sh("agent-1", "stat -f -c %T /sys/fs/cgroup")).toBe("cgroup2fs\n");
      expect((await lab.sh("agent-1", "cat /sys/fs/cgroup/cgroup.controllers")).trim().split(" ")).toEqual(
        expect.arrayContaining(["cpu", "cpuset", "io", "memory", "pids"]),
      );
      expect(await lab.sh("agent-1", "ip -6 address show dev eth0 scope link")).toContain("fe80::");
      expect(Number(await lab.sh("agent-1", "awk '/MemTotal/ { print $2 }' /proc/meminfo"))).toBeLessThan(4 << 20);
      // The cable that exec comes over is none that a product or a person could take for the host's.
      expect(await lab.sh("agent-1", "ls /sys/class/net && ss -Htln")).not.toMatch(/vec|192\.0\.2/);
    },
    MINUTE,
  );

  test.each(["cycled", "cut"] as const)(
    "keeps a host's files when its power is %s, and boots anew",
    async (power) => {
      const bootId = "cat /proc/sys/kernel/random/boot_id";
      const before = await lab.sh("agent-1", `echo ${power} >/root/kept && sync && ${bootId}`);
      await lab.restart("agent-1", { power });
      expect(await lab.sh("agent-1", "cat /root/kept")).toBe(`${power}\n`);
      expect(await lab.sh("agent-1", bootId)).not.toBe(before);
      expect((await ssh("agent-1", "admin", "hostname")).stdout).toBe("agent-1\n");
    },
    3 * MINUTE,
  );

  test(
    "has a host that comes back when it reboots itself",
    async () => {
      const bootId = "cat /proc/sys/kernel/random/boot_id";
      const before = await lab.sh("agent-1", bootId);
      await lab.exec("agent-1", ["systemctl", "reboot"]);
      const now = async (): Promise<string> => (await lab.exec("agent-1", ["sh", "-c", bootId])).stdout;
      await eventually(
        "agent-1 to boot anew",
        async () => !["", before].includes(await now().catch(() => "")) || undefined,
        { timeoutMs: MINUTE, everyMs: 200 },
      );
      const { stdout } = await eventually(
        "its sshd",
        async () => await ssh("agent-1", "admin", "hostname").catch(() => undefined),
        { timeoutMs: MINUTE, everyMs: 500 },
      );
      expect(stdout).toBe("agent-1\n");
    },
    2 * MINUTE,
  );

  test(
    "has a host that is unreachable while it is cut off or paused, and reachable after",
    async () => {
      await lab.disconnect("agent-1");
      await expect(ssh("agent-1", "admin", "true")).rejects.toThrow("timed out");
      expect(await lab.sh("agent-1", "hostname")).toBe("agent-1\n");
      await lab.connect("agent-1");
      await ssh("agent-1", "admin", "true");

      await lab.pause("agent-1");
      await expect(ssh("agent-1", "admin", "true")).rejects.toThrow("timed out");
      await lab.unpause("agent-1");
      await ssh("agent-1", "admin", "true");
    },
    MINUTE,
  );

  test(
    "cuts off one peer alone",
    async () => {
      const reach = "timeout 2 bash -c 'exec 3<>/dev/tcp/" + lab.host("agent-1").address + "/22'";
      await lab.sh("shell", reach);
      await lab.disconnect("agent-1", { peer: "shell" });
      await expect(lab.sh("shell", reach)).rejects.toThrow("ended with 124");
      await ssh("agent-1", "admin", "true");
      await lab.connect("agent-1", { peer: "shell" });
      await lab.sh("shell", reach);
    },
    MINUTE,
  );
});
