import { expect, test } from "@jest/globals";
import { ManualClock } from "../../../test/agent/manual-clock.js";
import { FakeDocker } from "../../../test/agent/fake-docker.js";
import { ConvocateError, newSessionId, type SessionId } from "../../domain/index.js";
import { silentLog, type Log } from "../../protocol/log.js";
import { systemClock } from "../clock.js";
import type { Found } from "../containers/containers.js";
import type { ContainerState } from "../containers/engine.js";
import { takeOver } from "./take-over.js";

const running = (): ContainerState => ({
  id: "c0ffee",
  image: "convocate:1.0.0",
  running: true,
  pid: 42,
  startedAt: "2026-11-21T00:00:00Z",
  finishedAt: null,
  exitCode: 0,
  oomKilled: false,
  execIds: [],
});

const found = (sessions: readonly SessionId[], untold: readonly SessionId[] = []): Found => ({
  states: new Map(sessions.map((id) => [id, running()])),
  untold: new Map(untold.map((id) => [id, new ConvocateError("TIMEOUT", "its shim hangs")])),
});

/** How often each session was asked what it told, and what was complained of. `late` says how often the first is too late. */
async function started(sessions: readonly SessionId[], late: number): Promise<{ asked: number[]; warnings: number }> {
  const asked = new Map<SessionId, number>();
  let warnings = 0;
  const log: Log = { info: () => undefined, warn: () => void warnings++, error: () => undefined };
  const catchUp = async (id: SessionId): Promise<void> => {
    const times = (asked.get(id) ?? 0) + 1;
    asked.set(id, times);
    if (id === sessions[0] && times <= late) throw new ConvocateError("TIMEOUT", "did not end within 5 s");
  };
  await takeOver(
    {
      docker: new FakeDocker(),
      containers: { all: async () => found(sessions) },
      activity: { catchUp },
      afterBoot: { resume: async () => undefined },
      processes: { isIn: async () => false, signal: () => undefined },
      clock: systemClock,
      log,
    },
    new AbortController().signal,
  );
  return { asked: sessions.map((id) => asked.get(id) ?? 0), warnings };
}

test("a session whose container is slow to answer after a boot is asked again, after the others", async () => {
  const sessions = Array.from({ length: 6 }, newSessionId);
  expect(await started(sessions, 2)).toEqual({ asked: [3, 1, 1, 1, 1, 1], warnings: 0 });
});

test("one that never answers is given up with a warning", async () => {
  expect(await started([newSessionId()], Infinity)).toEqual({ asked: [3], warnings: 1 });
});

test("one that Docker cannot tell of holds up no other, and is seen to once it can", async () => {
  const [fine, hung] = [newSessionId(), newSessionId()];
  const clock = new ManualClock();
  const answers = [found([fine], [hung]), found([fine], [hung]), found([fine, hung])];
  const resumed: SessionId[][] = [];
  const asked: SessionId[] = [];
  const over = takeOver(
    {
      docker: new FakeDocker(),
      containers: { all: async () => answers.shift()! },
      activity: { catchUp: async (id) => void asked.push(id) },
      afterBoot: { resume: async (_, of) => void resumed.push([fine, hung].filter((id) => of?.(id))) },
      processes: { isIn: async () => false, signal: () => undefined },
      clock,
      log: silentLog,
    },
    new AbortController().signal,
  );
  for (let i = 0; i < 2; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(asked).toEqual([fine]);
    await clock.advance(30_000);
  }
  await over;
  expect(asked).toEqual([fine, hung]);
  expect(resumed).toEqual([[fine], [], [hung]]);
});
