import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { SessionsRig, createParams } from "../../../test/agent/sessions-rig.js";
import { eventually } from "../../../test/support/eventually.js";
import { OPS } from "../../protocol/rpc/ops.js";
import { ConvocateError, type Session, type SessionId } from "../../domain/index.js";
import type { Sessions } from "./sessions.js";

let rig: SessionsRig;
beforeEach(async () => {
  rig = await SessionsRig.start();
});
afterEach(() => rig[Symbol.dispose]());

const MAKING = ["locked", "home prepared", "metadata written", "home in place", "told"];
const DELETING = [
  "locked",
  "stopped",
  "container removed",
  "home set aside",
  "metadata removed",
  "told",
  "home removed",
];

/** Runs an operation up to that step and no further, as a process that is killed there; then a new agent comes. */
async function crashAfter(done: string, operation: (sessions: Sessions) => Promise<unknown>): Promise<void> {
  const reached = Promise.withResolvers<void>();
  rig.step = async (step) => {
    if (step !== done) return;
    reached.resolve();
    await new Promise(() => undefined);
  };
  await rig.open();
  rig.step = async () => undefined;
  const failed = operation(rig.sessions).then(() => Promise.reject(new Error(`it never came to "${done}"`)));
  await Promise.race([reached.promise, failed]);
  await rig.open();
}

/** What must be true of any agent at rest: every listed session is whole, and nothing else is there. */
async function expectWhole(): Promise<Session[]> {
  // What is only removed is nobody's, and not waited for.
  await eventually("leftovers to go", () => !readdirSync(join(rig.root, "home")).some((one) => one.startsWith(".")));
  const sessions = await rig.sessions.list();
  const homes = readdirSync(join(rig.root, "home"));
  expect(homes.sort()).toEqual(sessions.map(({ id }) => id).sort());
  expect(readdirSync(join(rig.root, "sessions")).sort()).toEqual(sessions.map(({ id }) => `${id}.json`).sort());
  expect(readdirSync(join(rig.root, "locks"))).toEqual([]);
  for (const { status } of sessions) expect(status.state).not.toBe("locked");
  return sessions;
}

const told = (what: string, id: SessionId): number => rig.emitted.filter((one) => one === `${what} ${id}`).length;

describe("an agent killed in the middle of a create", () => {
  test.each(MAKING)("after %p leaves all of the session or nothing, and the same request gives one", async (done) => {
    const request = createParams({ port: 1001 });
    await crashAfter(done, (sessions) => sessions.create(request));
    const before = await expectWhole();
    expect(before).toHaveLength(["locked", "home prepared"].includes(done) ? 0 : 1);
    const made = await rig.sessions.create(request);
    if (before[0]) expect(made.id).toBe(before[0].id);
    expect(await expectWhole()).toHaveLength(1);
    expect(told("container.created", made.id)).toBeGreaterThanOrEqual(1);
    expect((await rig.sessions.create(createParams({ port: -1 }))).port).toBe(1002);
  });

  test.each([...MAKING, "started"])("with a start, after %p: the same request makes it run, once", async (done) => {
    const request = createParams({ start: true });
    await crashAfter(done, (sessions) => sessions.create(request));
    await expectWhole();
    const made = await rig.sessions.create(request);
    expect(made.status.state).toBe("running");
    expect(rig.docker.calls.filter((call) => call.startsWith("start "))).toHaveLength(1);
    expect(await expectWhole()).toHaveLength(1);
  });
});

describe("an agent killed in the middle of a clone", () => {
  test.each(MAKING)(
    "after %p leaves the source, and all of the copy or nothing; again gives one copy",
    async (done) => {
      const source = await rig.sessions.create(createParams());
      writeFileSync(join(rig.home(source.id), "file"), "text");
      const request = OPS.clone.params.parse({ id: source.id, request_id: "clone-request", name: "copy" });
      await crashAfter(done, (sessions) => sessions.clone(request));
      expect(await expectWhole()).toHaveLength(["locked", "home prepared"].includes(done) ? 1 : 2);
      const { session } = await rig.sessions.clone(request);
      expect(readFileSync(join(rig.home(session.id), "file"), "utf8")).toBe("text");
      expect(await expectWhole()).toHaveLength(2);
      expect(told("container.created", session.id)).toBeGreaterThanOrEqual(1);
    },
  );
});

describe("an agent killed in the middle of a delete", () => {
  const gone = ["metadata removed", "told", "home removed"];

  async function interrupted(done: string): Promise<Session> {
    const session = await rig.sessions.create(createParams({ start: true, dns_name: "web.example" }));
    writeFileSync(join(rig.home(session.id), "file"), "text");
    await crashAfter(done, (sessions) => sessions.delete(session.id));
    return session;
  }

  test.each(DELETING.filter((done) => !gone.includes(done)))("after %p lists a stale lock", async (done) => {
    const { id } = await interrupted(done);
    expect(await rig.sessions.list()).toMatchObject([
      { id, status: { state: "locked", operation: "delete", stale: true } },
    ]);
    await expect(rig.sessions.restart(id, true)).rejects.toMatchObject({
      code: "SESSION_LOCKED",
      message: expect.stringMatching(/delete .* was interrupted.*override/),
    });
  });

  test.each(DELETING.filter((done) => !gone.includes(done)))("after %p: one more delete ends it", async (done) => {
    const { id } = await interrupted(done);
    await rig.sessions.delete(id);
    expect(await expectWhole()).toEqual([]);
    expect(rig.docker.containers.size).toBe(0);
    expect(told("container.deleted", id)).toBe(1);
  });

  test.each(DELETING.filter((done) => !gone.includes(done)))("after %p: override takes it back", async (done) => {
    const { id } = await interrupted(done);
    const back = await rig.sessions.override({ id, force: false });
    expect(back.status.state).toBe(done === "locked" ? "running" : "stopped");
    expect(readFileSync(join(rig.home(id), "file"), "utf8")).toBe("text");
    await expectWhole();
    expect((await rig.sessions.restart(id, true)).status.state).toBe("running");
  });

  test.each(gone)("after %p lists nothing, removes the rest and tells the shell", async (done) => {
    const { id } = await interrupted(done);
    expect(await rig.sessions.list()).toEqual([]);
    for (let i = 0; i < 100 && readdirSync(join(rig.root, "home")).length > 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(await expectWhole()).toEqual([]);
    expect(told("container.deleted", id)).toBeGreaterThanOrEqual(1);
  });

  test("is known as such even when its lock is lost", async () => {
    const { id } = await interrupted("home set aside");
    rmSync(join(rig.root, "locks", `${id}.json`));
    await rig.open();
    expect((await rig.sessions.get(id)).status).toMatchObject({ state: "locked", operation: "delete", stale: true });
    await rig.sessions.delete(id);
    expect(await expectWhole()).toEqual([]);
  });

  test("stays so when one more delete fails, also for an agent that comes later", async () => {
    const { id } = await interrupted("home set aside");
    rig.docker.down = new ConvocateError("DOCKER_ERROR", "no answer");
    await expect(rig.sessions.delete(id)).rejects.toMatchObject({ code: "DOCKER_ERROR" });
    rig.docker.down = null;
    expect((await rig.sessions.get(id)).status).toMatchObject({ state: "locked", stale: true });
    await rig.open();
    expect((await rig.sessions.get(id)).status).toMatchObject({ state: "locked", stale: true });
    await rig.sessions.override({ id, force: false });
    expect(existsSync(join(rig.home(id), "file"))).toBe(true);
    await expectWhole();
  });
});

describe("an agent killed in the middle of a restart", () => {
  test("lists a stale lock, which the next restart takes over and override clears", async () => {
    for (const next of [
      (id: SessionId) => rig.sessions.restart(id, true),
      (id: SessionId) => rig.sessions.kill(id),
      (id: SessionId) => rig.sessions.override({ id, force: false }),
    ]) {
      const { id } = await rig.sessions.create(createParams());
      await crashAfter("started", (sessions) => sessions.restart(id, false));
      expect((await rig.sessions.get(id)).status).toMatchObject({
        state: "locked",
        operation: "restart",
        stale: true,
      });
      expect((await next(id)).status.state).not.toBe("locked");
      await expectWhole();
    }
  });
});

describe("an agent killed as a start has just worked", () => {
  test("answers the same restart with what it started, and any other with SESSION_RUNNING", async () => {
    const { id } = await rig.sessions.create(createParams());
    await crashAfter("started", (sessions) => sessions.restart(id, false, "request-one"));
    expect((await rig.sessions.restart(id, false, "request-one")).status.state).toBe("running");
    expect(rig.docker.calls.filter((call) => call.startsWith("start "))).toHaveLength(1);
    await expect(rig.sessions.restart(id, false, "request-two")).rejects.toMatchObject({ code: "SESSION_RUNNING" });
  });

  test("gives the port that its container holds to nobody else, also after an edit", async () => {
    const { id } = await rig.sessions.create(createParams({ port: 8080 }));
    await crashAfter("started", (sessions) => sessions.restart(id, false));
    await rig.sessions.edit({ id, port: 8081 });
    await expect(rig.sessions.create(createParams({ port: 8080 }))).rejects.toMatchObject({ code: "PORT_TAKEN" });
    await rig.sessions.restart(id, true);
    expect((await rig.sessions.create(createParams({ port: 8080 }))).port).toBe(8080);
  });

  test("a start that fails leaves what was noted of the one before", async () => {
    const { id } = await rig.sessions.create(createParams({ start: true, port: 8080 }));
    await rig.sessions.edit({ id, port: 8081 });
    const before = rig.store.get(id);
    rig.docker.beforeStart = () => Promise.reject(new ConvocateError("DOCKER_ERROR", "no"));
    await expect(rig.sessions.restart(id, true, "request")).rejects.toMatchObject({ code: "DOCKER_ERROR" });
    expect(rig.store.get(id)).toEqual({ ...before, last_accessed_at: expect.any(String) });
  });
});

describe("a step that fails", () => {
  const failAt = async (done: string): Promise<void> => {
    rig.step = async (step) => {
      if (step === done) throw new Error(`failed after ${done}`);
    };
    await rig.open();
  };

  test.each(MAKING.slice(0, 3))("of a create, after %p, leaves nothing", async (done) => {
    await failAt(done);
    await expect(rig.sessions.create(createParams())).rejects.toThrow(done);
    expect(await expectWhole()).toEqual([]);
  });

  test.each(DELETING.slice(0, 4))("of a delete, after %p, leaves the session", async (done) => {
    const { id } = await rig.sessions.create(createParams({ start: true }));
    await failAt(done);
    await expect(rig.sessions.delete(id)).rejects.toThrow(done);
    expect(await expectWhole()).toMatchObject([{ id }]);
  });
});

describe("metadata that cannot be read, of a newer release or damaged,", () => {
  test("keeps a start from removing what an interrupted create or delete left", async () => {
    const made = await rig.sessions.create(createParams());
    const deleted = await rig.sessions.create(createParams());
    const file = ({ id }: Session): string => join(rig.root, "sessions", `${id}.json`);
    await crashAfter("home set aside", (sessions) => sessions.delete(deleted.id));
    renameSync(rig.home(made.id), join(rig.root, "home", `.convocate-new-${made.id}`));
    const before = [made, deleted].map((one) => readFileSync(file(one), "utf8"));
    for (const one of [made, deleted]) writeFileSync(file(one), "{");
    rig.emitted = [];
    await rig.open();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(readdirSync(join(rig.root, "home")).sort()).toEqual([
      `.convocate-new-${made.id}`,
      `.convocate-old-${deleted.id}`,
    ]);
    expect(rig.emitted).toEqual([]);
    for (const [at, one] of [made, deleted].entries()) writeFileSync(file(one), before[at]!);
    await rig.open();
    await rig.sessions.override({ id: deleted.id, force: false });
    expect((await expectWhole()).map(({ id }) => id).sort()).toEqual([made.id, deleted.id].sort());
  });
});
