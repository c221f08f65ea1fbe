import { expect, test } from "@jest/globals";
import { statusDetail, type SessionStatus } from "./session.js";

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
