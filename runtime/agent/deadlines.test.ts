import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { eventually } from "../../test/support/eventually.js";
import { ManualClock } from "../../test/agent/manual-clock.js";
import { SessionsRig, createParams } from "../../test/agent/sessions-rig.js";
import type { RpcHandlers } from "../protocol/rpc/ops.js";
import { DockerPulse } from "./containers/pulse.js";
import { Deadlines, OPERATION_MS } from "./deadlines.js";
import { rpcHandlers } from "./handlers.js";
import { LiveSettings } from "./settings.js";
import { AgentSettings, ConvocateError, newAgentId } from "../domain/index.js";
import { silentLog } from "../protocol/log.js";

let rig: SessionsRig;
let clock: ManualClock;
let handlers: Required<RpcHandlers>;

/** As a part of the agent that waits for Docker. */
const hangs = (): Promise<never> => new Promise(() => undefined);

beforeEach(async () => {
  clock = new ManualClock();
  rig = await SessionsRig.start();
  rig.clock = clock;
  rig.lockWaitMs = 8_000;
  await rig.open();
  handlers = rpcHandlers({
    agentId: newAgentId(),
    sessions: rig.sessions,
    settings: await LiveSettings.open(
      AgentSettings.parse({ name: "a", labels: { rack: "r1" } }),
      `${rig.root}/none.json`,
      silentLog,
    ),
    capacity: { now: () => new Promise(() => undefined) },
    transfers: { handlers: { export: hangs, import: hangs } },
    screen: () => new Promise(() => undefined),
    deadlines: new Deadlines(new DockerPulse(rig.docker, clock), clock),
    currentImage: () => rig.image,
    clock,
    upSince: clock.monotonicMs(),
  }) as typeof handlers;
});
afterEach(() => rig[Symbol.dispose]());

/** Lets time pass in small steps until it is settled; answers with how long that took. */
async function settled<T>(work: Promise<T>): Promise<{ afterMs: number; outcome: PromiseSettledResult<T> }> {
  const begun = clock.now();
  let outcome: PromiseSettledResult<T> | undefined;
  void Promise.allSettled([work]).then(([one]) => (outcome = one));
  // Slowly enough for real disks, whose work takes none of this time.
  for (let i = 0; i < 10_000; i++) {
    await sleep(1);
    if (outcome) return { afterMs: clock.now() - begun, outcome };
    await clock.advance(20);
  }
  throw new Error("it was never settled");
}

test("with a Docker that hangs every operation that needs it is told so within 10 s", async () => {
  const { id } = await rig.sessions.create(createParams());
  const [second, third] = [await rig.sessions.create(createParams()), await rig.sessions.create(createParams())];
  rig.docker.hangs = true;
  const operations: [string, Promise<unknown>][] = [
    ["restart", handlers.restart({ id, force: false })],
    ["kill", handlers.kill({ id: second.id })],
    ["delete", handlers.delete({ id: third.id })],
    ["create", handlers.create(createParams({ start: true }))],
    ["capacity", handlers.capacity({})],
    ["export", handlers.export({ id, phase: "look" })],
    ["import", handlers.import({ id, phase: "activate", transfer_id: randomUUID() })],
  ];
  const all = await settled(Promise.allSettled(operations.map(([, work]) => work)));
  expect(all.afterMs).toBeLessThan(10_000);
  const outcomes = all.outcome.status === "fulfilled" ? all.outcome.value : [];
  for (const [at, [name]] of operations.entries()) {
    expect([name, outcomes[at]]).toEqual([
      name,
      { status: "rejected", reason: expect.objectContaining({ code: "TIMEOUT" }) },
    ]);
  }
});

test("a kill that Docker does not do is answered within 20 s, and one of a hung shim says how to end that", async () => {
  const { id } = await rig.sessions.create(createParams({ start: true }));
  const gate = Promise.withResolvers<void>();
  rig.docker.beforeStop = () => gate.promise;
  const late = await settled(handlers.kill({ id }));
  expect(late.afterMs).toBeLessThan(21_000);
  expect(late.outcome).toMatchObject({ reason: { code: "TIMEOUT" } });
  expect(rig.locks.holder(id)).toMatchObject({ operation: "kill" });
  gate.resolve();
  await eventually("the lock to be free", () => !rig.locks.holder(id));
  rig.docker.beforeInspect = async () => {
    throw new ConvocateError("TIMEOUT", "Docker did not answer container inspect in time");
  };
  await expect(handlers.kill({ id })).rejects.toMatchObject({
    code: "TIMEOUT",
    message: expect.stringMatching(`inspect in time; .*name=convocate-session-${id}.*pkill -KILL -f "containerd-shim`),
  });
});

test("what needs no Docker is done meanwhile; list and get say within 5 s that it does not answer", async () => {
  const { id } = await rig.sessions.create(createParams());
  rig.docker.hangs = true;
  const list = await settled(handlers.list({}));
  expect(list.afterMs).toBeLessThan(5_000);
  expect(list.outcome).toMatchObject({ value: { sessions: [{ id, status: { state: "error" } }] } });
  const made = await settled(handlers.create(createParams({ name: "two" })));
  expect(made.outcome).toMatchObject({ value: { name: "two" } });
  expect(made.afterMs).toBeLessThan(10_000);
  const edited = await settled(handlers.edit({ id, name: "three" }));
  expect(edited.outcome).toMatchObject({ value: { name: "three" } });
  expect(await handlers.ping({})).toMatchObject({ image: "convocate:1", labels: { rack: "r1" } });
});

test("an operation that was told to stop before it changed anything changes nothing when Docker wakes up", async () => {
  const { id } = await rig.sessions.create(createParams());
  const woken = Promise.withResolvers<void>();
  rig.docker.hangs = true;
  rig.docker.awake = woken.promise;
  const [restart, create] = [handlers.restart({ id, force: false }), handlers.create(createParams({ start: true }))];
  await settled(Promise.allSettled([restart, create]));
  expect(rig.locks.holder(id)).toMatchObject({ operation: "restart" });
  rig.docker.hangs = false;
  woken.resolve();
  await eventually("the lock to be free", () => !rig.locks.holder(id));
  expect(rig.docker.calls).toEqual([]);
  expect(await rig.sessions.list()).toMatchObject([{ id, status: { state: "stopped" } }]);
});

test("a Docker that answers may take its time; a second operation waits 8 s and is told who is busy", async () => {
  const { id } = await rig.sessions.create(createParams());
  const gate = Promise.withResolvers<void>();
  rig.docker.beforeStart = () => gate.promise;
  const restart = handlers.restart({ id, force: false });
  await sleep(20);
  const second = await settled(handlers.kill({ id }));
  expect(second.afterMs).toBeLessThan(10_000);
  expect(second.outcome).toMatchObject({ reason: { code: "SESSION_LOCKED" } });
  await clock.advance(20_000);
  gate.resolve();
  expect((await restart).status.state).toBe("running");
});

test("an operation that never ends is answered with TIMEOUT all the same", async () => {
  const deadlines = new Deadlines(new DockerPulse(rig.docker, clock), clock);
  const never = deadlines.within("edit", OPERATION_MS, () => new Promise(() => undefined));
  const late = expect(never).rejects.toMatchObject({ code: "TIMEOUT", message: expect.stringContaining("edit") });
  await clock.advance(OPERATION_MS);
  await late;
});
