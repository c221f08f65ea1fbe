import { beforeEach, expect, test } from "@jest/globals";
import { ManualClock } from "../../../test/agent/manual-clock.js";
import { ConvocateError, newSessionId, type EffectiveSettings, type Resources } from "../../domain/index.js";
import type { RunningContainer } from "../containers/engine.js";
import { containerName } from "../containers/spec.js";
import { ADMISSION_MS, Admission, type Candidate } from "./admission.js";

const GIB = 1024 ** 3;
let clock: ManualClock;
let running: RunningContainer[];
let answer: () => Promise<RunningContainer[]>;
let total: Resources;
let settings: EffectiveSettings;
let known: Candidate[];
let used: Map<string, number>;
let admission: Admission;

beforeEach(() => {
  clock = new ManualClock();
  running = [];
  answer = async () => running;
  total = { cpus: 10, memory_bytes: 100 * GIB, disk_bytes: 100 * GIB };
  settings = {
    cpu_percent: 100,
    memory_percent: 100,
    disk_percent: 100,
    cpus: 0.5,
    memory_bytes: GIB,
    disk_bytes: 5 * GIB,
    pids: 100,
  };
  known = [];
  used = new Map();
  admission = new Admission({
    docker: { running: () => answer() },
    settings: () => settings,
    total: async () => total,
    sessions: () => known,
    diskUse: (id) => used.get(id) ?? 0,
    clock,
  });
});

const session = (limits: Candidate["limits"] = {}): Candidate => ({ id: newSessionId(), limits });
const container = (change: Partial<RunningContainer>): RunningContainer => ({
  name: "stranger",
  cgroupParent: "convocate-sessions.slice",
  cpus: null,
  memoryBytes: null,
  ...change,
});

test("counts every container of the slice, also a stranger's, and none outside it", async () => {
  running = [container({ cpus: 6 }), container({ name: "two" }), container({ name: "out", cgroupParent: "", cpus: 9 })];
  expect(await admission.pledged()).toMatchObject({
    pledged: { cpus: 6.5, memory_bytes: 2 * GIB, disk_bytes: 10 * GIB },
    sessions: 2,
  });
  await expect(admission.reserve(session({ cpus: 4 }))).rejects.toMatchObject({
    code: "ADMISSION_DENIED",
    message: expect.stringContaining("(10.5 of 10.0 cores allowed); current usage 6.5 cores across 2 sessions"),
  });
  using reserved = await admission.reserve(session({ cpus: 3.5 }));
  expect(reserved).toBeDefined();
});

test("a running container that Docker cannot tell of counts with its session's limits, a stranger's with the baseline", async () => {
  const one = session({ cpus: 6 });
  known = [one];
  const untold = { cgroupParent: null, cpus: null, memoryBytes: null };
  running = [container({ name: containerName(one.id), ...untold }), container({ name: "stranger", ...untold })];
  expect(await admission.pledged()).toMatchObject({
    pledged: { cpus: 6.5, memory_bytes: 2 * GIB, disk_bytes: 10 * GIB },
    sessions: 2,
  });
  using reserved = await admission.reserve(session({ cpus: 3.5 }));
  expect(reserved).toBeDefined();
});

test("a reservation counts until it is given back, and once only when its container runs already", async () => {
  const one = session({ cpus: 6 });
  const reserved = await admission.reserve(one);
  await expect(admission.reserve(session({ cpus: 6 }))).rejects.toMatchObject({ code: "ADMISSION_DENIED" });
  running = [container({ name: containerName(one.id), cpus: 6 })];
  expect((await admission.pledged()).pledged.cpus).toBe(6);
  reserved[Symbol.dispose]();
  expect((await admission.pledged()).pledged.cpus).toBe(6);
  running = [];
  expect((await admission.pledged()).pledged.cpus).toBe(0);
});

test("a start that ends between Docker's look and its answer is not lost from the sum", async () => {
  const one = session({ cpus: 6 });
  const reserved = await admission.reserve(one);
  const gate = Promise.withResolvers<void>();
  answer = async () => {
    const seen = [...running];
    await gate.promise;
    return seen;
  };
  const second = admission.reserve(session({ cpus: 6 }));
  await clock.advance(0);
  running = [container({ name: containerName(one.id), cpus: 6 })];
  reserved[Symbol.dispose]();
  gate.resolve();
  await expect(second).rejects.toMatchObject({ code: "ADMISSION_DENIED" });
});

test("a stopped session's home counts with what it holds, a running one's with its allowance at least", async () => {
  total.disk_bytes = 20 * GIB;
  const [stopped, small, big] = [session(), session({ disk_bytes: GIB }), session()] as const;
  known = [stopped, small, big];
  used = new Map([
    [stopped.id, 7 * GIB],
    [small.id, 2 * GIB],
    [big.id, GIB],
  ]);
  running = [container({ name: containerName(small.id) }), container({ name: containerName(big.id) })];
  expect((await admission.pledged()).pledged.disk_bytes).toBe((7 + 2 + 5) * GIB);
  await expect(admission.reserve(session({ disk_bytes: 7 * GIB }))).rejects.toMatchObject({
    message: expect.stringContaining("current usage 14.0 GiB across 3 sessions"),
  });
  // A restart of one that counts already: without its old pledge.
  using again = await admission.reserve(stopped);
  expect(again).toBeDefined();
});

test("changed settings are in force at once", async () => {
  using first = await admission.reserve(session({ cpus: 5 }));
  expect(first).toBeDefined();
  settings = { ...settings, cpu_percent: 50 };
  await expect(admission.reserve(session())).rejects.toMatchObject({ code: "ADMISSION_DENIED" });
});

test("a Docker that hangs costs every waiting start its deadline and no more, and nothing stays reserved", async () => {
  const hung = Promise.withResolvers<RunningContainer[]>();
  answer = () => hung.promise;
  const starts = [session(), session(), session()].map((one) => admission.reserve(one));
  const outcomes = Promise.allSettled(starts);
  await clock.advance(ADMISSION_MS);
  for (const one of await outcomes) expect(one).toMatchObject({ status: "rejected", reason: { code: "TIMEOUT" } });
  hung.resolve([]);
  answer = async () => running;
  await clock.advance(0);
  expect((await admission.pledged()).pledged.cpus).toBe(0);
  using next = await admission.reserve(session());
  expect(next).toBeDefined();
});

test("a Docker that answers with an error lets the next one try", async () => {
  answer = () => Promise.reject(new ConvocateError("DOCKER_ERROR", "down"));
  await expect(admission.reserve(session())).rejects.toMatchObject({ code: "DOCKER_ERROR" });
  answer = async () => running;
  using next = await admission.reserve(session());
  expect(next).toBeDefined();
});
