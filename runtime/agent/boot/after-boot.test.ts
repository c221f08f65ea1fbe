import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { ConvocateError, newSessionId, type SessionId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { ManualClock } from "../../../test/agent/manual-clock.js";
import type { ContainerState } from "../containers/engine.js";
import type { Metadata } from "../sessions/metadata.js";
import { AfterBoot, SETTLE_MS } from "./after-boot.js";

let metadata: Map<SessionId, Metadata>;
let states: Map<SessionId, ContainerState>;
let started: SessionId[];
let start: (id: SessionId) => Promise<void>;
let update: (id: SessionId, change: Partial<Metadata>) => Promise<void>;
let clock: ManualClock;
let boot: AfterBoot;

const running = (now: boolean): ContainerState => ({ running: now }) as ContainerState;
const session = (ranIn: string | null, runs: boolean | null): SessionId => {
  const id = newSessionId();
  metadata.set(id, { id, runs_in_boot: ranIn } as Metadata);
  if (runs !== null) states.set(id, running(runs));
  return id;
};
const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

beforeEach(() => {
  metadata = new Map();
  states = new Map();
  started = [];
  start = async (id) => void started.push(id);
  update = async (id, change) => void metadata.set(id, { ...metadata.get(id)!, ...change });
  clock = new ManualClock();
  boot = new AfterBoot({
    boot: "this",
    store: {
      all: () => [...metadata.values()],
      get: (id) => metadata.get(id),
      update: (id, change) => update(id, change),
    },
    state: async (id) => states.get(id) ?? null,
    start: (id) => start(id),
    clock,
    log: silentLog,
  });
});
afterEach(async () => await boot[Symbol.asyncDispose]());

describe("after a boot of the host", () => {
  test("what ran is started, and what was killed, never ran or ended by itself is not", async () => {
    const ran = session("before", false);
    const ranWithoutContainer = session("before", null);
    session(null, false);
    const ended = session("this", false);
    session("this", true);
    await boot.resume(states);
    expect(started).toEqual([ran, ranWithoutContainer]);
    expect(metadata.get(ended)?.runs_in_boot).toBeNull();
  });

  test("one that an agent started and could not note as started goes on with its conversation", async () => {
    const [ran, runs, never] = [session("before", false), session("this", true), session("before", null)];
    for (const id of [ran, runs]) states.set(id, { ...states.get(id)!, startedAt: "2026-11-21T00:00:00Z" });
    await boot.resume(states);
    expect([ran, runs, never].map((id) => metadata.get(id)?.started_before ?? false)).toEqual([true, true, false]);
    expect(started).toEqual([ran, never]);
  });

  test("one whose file cannot be written holds up no other", async () => {
    const [full, ran] = [session("this", false), session("before", false)];
    update = async () => Promise.reject(new ConvocateError("DISK_FULL", "no space"));
    await boot.resume(states);
    expect(started).toEqual([ran]);
    expect(metadata.get(full)?.runs_in_boot).toBe("this");
  });

  test("at most two start at a time", async () => {
    for (let i = 0; i < 7; i++) session("before", false);
    let now = 0;
    let most = 0;
    start = async (id) => {
      most = Math.max(most, (now += 1));
      await turns();
      now -= 1;
      started.push(id);
    };
    await boot.resume(states);
    expect(started).toHaveLength(7);
    expect(most).toBe(2);
  });

  test("one that cannot start holds up no other; where Docker failed it is tried again", async () => {
    const [refused, failing, fine] = [session("b", false), session("b", false), session("b", false)];
    const tries: SessionId[] = [];
    start = async (id) => {
      tries.push(id);
      if (id === refused) throw new ConvocateError("ADMISSION_DENIED", "full");
      if (id === failing && tries.filter((one) => one === id).length < 3) {
        throw new ConvocateError("DOCKER_ERROR", "down");
      }
      started.push(id);
    };
    const done = boot.resume(states);
    for (let i = 0; i < 3; i++) {
      await turns();
      await clock.advance(5_000);
    }
    await done;
    expect(started).toEqual([fine, failing]);
    expect(tries.filter((id) => id === refused)).toHaveLength(1);
  });
});

describe("a session that ends by itself", () => {
  test("stays down after the next boot", async () => {
    const id = session("this", false);
    boot.ended(id);
    await turns();
    expect(metadata.get(id)?.runs_in_boot).toBe("this");
    await clock.advance(SETTLE_MS);
    await turns();
    expect(metadata.get(id)?.runs_in_boot).toBeNull();
  });

  test("is still to run when it was started again meanwhile", async () => {
    const id = session("this", true);
    boot.ended(id);
    await turns();
    await clock.advance(SETTLE_MS);
    await turns();
    expect(metadata.get(id)?.runs_in_boot).toBe("this");
  });

  test("is still to run when the agent is stopped right after, as it is when the host goes down", async () => {
    const id = session("this", false);
    boot.ended(id);
    await turns();
    await boot[Symbol.asyncDispose]();
    await clock.advance(SETTLE_MS);
    expect(metadata.get(id)?.runs_in_boot).toBe("this");
  });
});
