import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { eventually } from "../../../test/support/eventually.js";
import { FakeCgroups } from "../../../test/agent/fake-cgroups.js";
import { FakeDocker } from "../../../test/agent/fake-docker.js";
import { ManualClock } from "../../../test/agent/manual-clock.js";
import { AgentSettings, newSessionId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { Admission } from "./admission.js";
import { CapacityReport, countCpus, hostTotal } from "./capacity.js";
import { HostCgroups } from "./cgroups.js";
import { DiskUse, du } from "./disk-use.js";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-capacity-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(files: Record<string, string>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}
const SLICE = "convocate.slice/convocate-sessions.slice";
const groups = (): HostCgroups => new HostCgroups({ root: join(root, "sys"), proc: join(root, "proc") });

describe("control groups", () => {
  test("of v2: use and limits of the slice, a container's OOM kills, and who is in it", async () => {
    write({
      "sys/cgroup.controllers": "cpu memory pids",
      [`sys/${SLICE}/cgroup.procs`]: "",
      [`sys/${SLICE}/cpu.stat`]: "usage_usec 1234567\nuser_usec 1\n",
      [`sys/${SLICE}/memory.current`]: "1000\n",
      [`sys/${SLICE}/memory.stat`]: "anon 5\ninactive_file 300\n",
      [`sys/${SLICE}/cpu.max`]: "180000 100000\n",
      [`sys/${SLICE}/memory.max`]: "max\n",
      [`sys/${SLICE}/docker-abc.scope/memory.events`]: "low 0\noom 3\noom_kill 2\noom_group_kill 0\n",
      "proc/1/cgroup": `0::/${SLICE}/docker-abc.scope\n`,
      "proc/2/cgroup": "0::/system.slice/docker-abc.scope\n",
    });
    const cgroups = groups();
    expect(await cgroups.version()).toBe(2);
    expect(await cgroups.slice()).toEqual({
      present: true,
      cpuUs: 1234567,
      memoryBytes: 700,
      cpuLimited: true,
      memoryLimited: false,
    });
    expect(await cgroups.oomKills("abc")).toBe(2);
    expect(await cgroups.oomKills("gone")).toBe(0);
    expect([await cgroups.inSlice(1), await cgroups.inSlice(2), await cgroups.inSlice(3)]).toEqual([true, false, null]);
  });

  test("of v1: the same from one hierarchy per controller; one that was forgotten is outside", async () => {
    write({
      [`sys/cpuacct/${SLICE}/cpuacct.usage`]: "5000000\n",
      [`sys/cpu/${SLICE}/cpu.cfs_quota_us`]: "-1\n",
      [`sys/memory/${SLICE}/memory.usage_in_bytes`]: "1000\n",
      [`sys/memory/${SLICE}/memory.stat`]: "inactive_file 1\ntotal_inactive_file 100\n",
      [`sys/memory/${SLICE}/memory.limit_in_bytes`]: "9223372036854771712\n",
      [`sys/memory/${SLICE}/docker-abc.scope/memory.oom_control`]: "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
      "proc/1/cgroup": `12:pids:/${SLICE}/d\n4:cpu,cpuacct:/${SLICE}/d\n3:memory:/${SLICE}/d\n0::/\n`,
      "proc/2/cgroup": `12:pids:/${SLICE}/d\n4:cpu,cpuacct:/${SLICE}/d\n3:memory:/docker/d\n`,
    });
    const cgroups = groups();
    expect(await cgroups.version()).toBe(1);
    expect(await cgroups.slice()).toEqual({
      present: true,
      cpuUs: 5000,
      memoryBytes: 900,
      cpuLimited: false,
      memoryLimited: false,
    });
    expect(await cgroups.oomKills("abc")).toBe(4);
    expect([await cgroups.inSlice(1), await cgroups.inSlice(2)]).toEqual([true, false]);
    write({ [`sys/unified/${SLICE}/cpu.stat`]: "usage_usec 77\n" });
    expect((await cgroups.slice()).cpuUs).toBe(77);
  });

  test("that are not there are unknown, not an error", async () => {
    expect(await groups().slice()).toEqual({
      present: false,
      cpuUs: null,
      memoryBytes: null,
      cpuLimited: false,
      memoryLimited: false,
    });
  });
});

test("the host's totals are its own cores and memory, and the size of the homes' file system", async () => {
  const size = Number(execFileSync("stat", ["-f", "-c", "%b %S", root], { encoding: "utf8" }).split(" ")[0]);
  const total = await hostTotal(root);
  expect(total).toMatchObject({ cpus: cpus().length, memory_bytes: totalmem() });
  expect(total.disk_bytes).toBeGreaterThanOrEqual(size);
});

test.each([
  ["0\n", 1],
  ["0-3\n", 4],
  ["0-1,4,6-7\n", 5],
])("the kernel's list %j names %i processors", (list, count) => {
  expect(countCpus(list)).toBe(count);
});

describe("the report", () => {
  const clock = new ManualClock();
  const docker = new FakeDocker();
  let cgroups: FakeCgroups;
  let report: CapacityReport;
  let cordoned: boolean;

  beforeEach(async () => {
    cordoned = false;
    cgroups = new FakeCgroups();
    docker.driver = "systemd";
    const admission = new Admission({
      docker,
      settings: () => ({
        cpu_percent: 90,
        memory_percent: 80,
        disk_percent: 70,
        cpus: 0.5,
        memory_bytes: 1,
        disk_bytes: 1,
        pids: 1,
      }),
      total: async () => ({ cpus: 2, memory_bytes: 1000, disk_bytes: 1000 }),
      sessions: () => [],
      diskUse: () => 0,
      clock,
    });
    report = new CapacityReport({
      containers: docker,
      cgroups,
      admission,
      diskUse: () => 55,
      settings: { cordoned: () => cordoned, current: () => AgentSettings.parse({ name: "a-1" }) },
      clock,
    });
    await report.begin();
  });

  test("has totals, what is allowed and pledged, and live use: cores as the average since the last question", async () => {
    await clock.advance(10_000);
    cgroups.use = { ...cgroups.use, cpuUs: 5_000_000, memoryBytes: 42 };
    const first = await report.now();
    expect(first).toEqual({
      total: { cpus: 2, memory_bytes: 1000, disk_bytes: 1000 },
      allowed: { cpus: 1.8, memory_bytes: 800, disk_bytes: 700 },
      pledged: { cpus: 0, memory_bytes: 0, disk_bytes: 0, sessions: 0 },
      used: { cpus: 0.5, memory_bytes: 42, disk_bytes: 55 },
      cordoned: false,
      warnings: [],
    });
    await clock.advance(100);
    cgroups.use = { ...cgroups.use, cpuUs: 5_100_000 };
    expect((await report.now()).used.cpus).toBe(0.5);
    await clock.advance(9_900);
    expect((await report.now()).used.cpus).toBeCloseTo(0.01);
  });

  test("averages on when somebody sets the host's clock back", async () => {
    await clock.advance(10_000);
    cgroups.use = { ...cgroups.use, cpuUs: 5_000_000 };
    await report.now();
    clock.set(-3_600_000);
    await clock.advance(10_000);
    cgroups.use = { ...cgroups.use, cpuUs: 25_000_000 };
    expect((await report.now()).used.cpus).toBe(2);
  });

  test("says of a cordoned agent that it is, and what ends that", async () => {
    cordoned = true;
    expect(await report.now()).toMatchObject({
      cordoned: true,
      warnings: [expect.stringContaining("`convocate settings a-1 cordoned=no` ends that")],
    });
  });

  test("warns of cgroup v1, of a foreign driver, and of a slice that is missing or has no limits", async () => {
    cgroups.cgroupVersion = 1;
    cgroups.use = { ...cgroups.use, memoryLimited: false };
    docker.driver = "cgroupfs";
    expect((await report.now()).warnings).toEqual([
      expect.stringContaining("cgroup v1"),
      expect.stringContaining("cgroup driver cgroupfs"),
      expect.stringContaining("has no MemoryMax"),
    ]);
    cgroups.use = { present: false, cpuUs: null, memoryBytes: null, cpuLimited: false, memoryLimited: false };
    const report2 = await report.now();
    expect(report2.warnings.at(-1)).toContain("convocate-sessions.slice is not there");
    expect(report2.used.cpus).toBeNull();
  });
});

describe("disk use", () => {
  test("is measured at start and again later, a sparse file by what it takes, and vanished homes are no error", async () => {
    const id = newSessionId();
    write({ [`${id}/file`]: "x".repeat(100_000), [`${id}/sparse`]: "" });
    truncateSync(join(root, id, "sparse"), 2 ** 31);
    const clock = new ManualClock();
    const homes = [join(root, id), join(root, newSessionId())];
    let rounds = 0;
    await using use = new DiskUse({
      homes: () => homes,
      clock,
      log: silentLog,
      measure: async (paths, signal) => {
        const found = await du(paths, signal);
        rounds += 1;
        return found;
      },
    });
    expect([use.of(id), use.total()]).toEqual([0, null]);
    use.start();
    await eventually("a first count", () => use.total() !== null);
    expect(use.of(id)).toBeGreaterThanOrEqual(100_000);
    expect(use.of(id)).toBeLessThan(1_000_000);
    expect(use.total()).toBe(use.of(id));
    writeFileSync(join(root, id, "more"), "x".repeat(1_000_000));
    while (rounds < 2) {
      await clock.advance(300_000);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await eventually("all of the file to be counted", () => use.of(id) >= 1_000_000);
  });

  test("is measured on five minutes later, also when somebody sets the host's clock on meanwhile", async () => {
    const clock = new ManualClock();
    let rounds = 0;
    await using use = new DiskUse({
      homes: () => [join(root, newSessionId())],
      clock,
      log: silentLog,
      measure: async () => {
        rounds += 1;
        clock.set(3_600_000);
        return new Map();
      },
    });
    use.start();
    await eventually("a first count", () => use.total() !== null);
    await clock.advance(300_000);
    await eventually("a second count", () => rounds === 2, { timeoutMs: 2_000 });
  });
});
