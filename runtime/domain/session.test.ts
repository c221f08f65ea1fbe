import { expect, test } from "@jest/globals";
import { statusDetail, WantedLimits, type SessionStatus } from "./session.js";

const now = Date.parse("2026-11-21T12:03:00.000Z");
const running = (change: Partial<Extract<SessionStatus, { state: "running" }>>): SessionStatus => ({
  state: "running",
  attached: 0,
  started_at: "2026-11-21T12:00:00.000Z",
  ...change,
});
const activity = { kind: "waiting", since: "2026-11-21T12:00:00.000Z" } as const;

test("the detail of a running session names a kill for want of memory before what it does now", () => {
  expect(statusDetail(running({}), now)).toBe("");
  expect(statusDetail(running({ activity }), now)).toBe("waiting 3m");
  expect(statusDetail(running({ oom_kills: 2 }), now)).toBe("OOM-killed");
  expect(statusDetail(running({ oom_kills: 1, activity }), now)).toBe("OOM-killed, waiting 3m");
  expect(statusDetail(running({ oom_kills: 1, starting: true, activity }), now)).toBe("OOM-killed, starting");
});

test("a share of a core that no kernel can give is not asked for", () => {
  for (const cpus of [0.01, 0.5, 8]) expect(WantedLimits.safeParse({ cpus }).success).toBe(true);
  for (const cpus of [1e-10, 0.009, 0, -1, Number.NaN]) expect(WantedLimits.safeParse({ cpus }).success).toBe(false);
  expect(WantedLimits.safeParse({}).success).toBe(true);
});
