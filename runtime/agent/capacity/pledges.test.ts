import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { EffectiveSettings, Resources } from "../../domain/index.js";
import { denial, isInSlice, pledgeOfContainer, pledgeOfSession } from "./pledges.js";

const GIB = 1024 ** 3;
const settings: EffectiveSettings = {
  cpu_percent: 90,
  memory_percent: 90,
  disk_percent: 90,
  cpus: 0.5,
  memory_bytes: 2 * GIB,
  disk_bytes: 5 * GIB,
  pids: 4096,
};
const total: Resources = { cpus: 8, memory_bytes: 64 * GIB, disk_bytes: 1000 * GIB };
const none: Resources = { cpus: 0, memory_bytes: 0, disk_bytes: 0 };

test("a session pledges its limits, or the agent's baselines; more disk than its allowance when it holds more", () => {
  expect(pledgeOfSession({}, settings, 0)).toEqual({ cpus: 0.5, memory_bytes: 2 * GIB, disk_bytes: 5 * GIB });
  expect(pledgeOfSession({ cpus: 2, memory_bytes: GIB, disk_bytes: GIB }, settings, 3 * GIB)).toEqual({
    cpus: 2,
    memory_bytes: GIB,
    disk_bytes: 3 * GIB,
  });
});

test("a container pledges what Docker says of it, whoever started it", () => {
  const container = { name: "x", cgroupParent: "convocate-sessions.slice", cpus: null, memoryBytes: null };
  expect(pledgeOfContainer(container, settings, 1)).toEqual({ cpus: 0.5, memory_bytes: 2 * GIB, disk_bytes: 1 });
  expect(pledgeOfContainer({ ...container, cpus: 3, memoryBytes: 7 }, settings, 1)).toEqual({
    cpus: 3,
    memory_bytes: 7,
    disk_bytes: 1,
  });
});

test("the slice is the one of that name and those below it, and no other", () => {
  for (const parent of [
    "convocate-sessions.slice",
    "/convocate.slice/convocate-sessions.slice",
    "convocate-sessions-a.slice",
  ])
    expect(isInSlice(parent)).toBe(true);
  for (const parent of ["", "system.slice", "convocate.slice", "convocate-sessions", "my-convocate-sessions.slice"])
    expect(isInSlice(parent)).toBe(false);
});

describe("a refusal", () => {
  const ask = (pledged: Partial<Resources>, wanted: Partial<Resources>): string | null =>
    denial({
      total,
      settings,
      pledged: { ...none, ...pledged },
      sessions: { running: 6, all: 9 },
      wanted: { ...none, ...wanted },
    });

  test("says what it would come to, in the words of the specification", () => {
    expect(ask({ cpus: 6.7 }, { cpus: 1 })).toBe(
      "admission denied: would push convocate-sessions.slice to 96% of host CPU (7.7 of 7.2 cores allowed); " +
        "current usage 6.7 cores across 6 sessions",
    );
    expect(ask({ memory_bytes: 57 * GIB }, { memory_bytes: 2 * GIB })).toBe(
      "admission denied: would push convocate-sessions.slice to 92% of host memory (59.0 of 57.6 GiB allowed); " +
        "current usage 57.0 GiB across 6 sessions",
    );
    expect(ask({ disk_bytes: 899 * GIB }, { disk_bytes: 5 * GIB })).toContain(
      "(904.0 of 900.0 GiB allowed); current usage 899.0 GiB across 9 sessions",
    );
  });

  test("comes only above the cap, not at it", () => {
    expect(ask({ cpus: 6.2 }, { cpus: 1 })).toBeNull();
    // 7.2 as a sum of eighteen fractions that binary cannot say exactly
    const many = Array.from({ length: 17 }, () => 0.4).reduce((a, b) => a + b, 0);
    expect(ask({ cpus: many }, { cpus: 0.4 })).toBeNull();
    expect(ask({ cpus: 6.2 }, { cpus: 1.001 })).toContain("to 90.01% of host CPU (7.201 of 7.200 cores allowed)");
    expect(ask({ memory_bytes: 0 }, { memory_bytes: Math.floor(57.6 * GIB) })).toBeNull();
    expect(ask({ memory_bytes: 1 }, { memory_bytes: Math.floor(57.6 * GIB) })).toContain("of host memory");
  });

  test("has figures that add up, whatever they are", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 7200 }), fc.integer({ min: 1, max: 9000 }), (pledged, wanted) => {
        const said = ask({ cpus: pledged / 1000 }, { cpus: wanted / 1000 });
        if (pledged + wanted <= 7200) return said === null;
        const [, would, allowed, current] =
          /\(([\d.]+) of ([\d.]+) cores allowed\); current usage ([\d.]+) cores/.exec(said ?? "")?.map(Number) ?? [];
        const step = 10 ** -(/\(\d+\.(\d+) of/.exec(said ?? "")?.[1]?.length ?? 0);
        return (
          would! > allowed! &&
          Math.abs(would! - current! - wanted / 1000) <= step + 1e-9 &&
          Math.abs(current! - pledged / 1000) <= step / 2 + 1e-9
        );
      }),
    );
  });
});
