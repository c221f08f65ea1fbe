import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { SessionsRig, createParams } from "../../../test/agent/sessions-rig.js";
import { ConvocateError, type SessionId } from "../../domain/index.js";
import { OPS, type OpInput, type OpParams } from "../../protocol/rpc/ops.js";
import { containerName } from "../containers/spec.js";

let rig: SessionsRig;
beforeEach(async () => {
  rig = await SessionsRig.start();
});
afterEach(() => rig[Symbol.dispose]());

const edit = (id: SessionId, change: Omit<OpInput<"edit">, "id">): OpParams<"edit"> =>
  OPS.edit.params.parse({ id, ...change });
let clones = 0;
const clone = (id: SessionId, name = "copy"): OpParams<"clone"> =>
  OPS.clone.params.parse({ id, name, request_id: `clone-${(clones += 1)}-request` });

describe("edit", () => {
  test("changes what is named and keeps the rest; a limit of null goes back to the agent's", async () => {
    const { id } = await rig.sessions.create(
      createParams({ port: 8080, dns_name: "web.example", limits: { cpus: 1, pids: 100 } }),
    );
    const after = await rig.sessions.edit(edit(id, { name: "two", limits: { cpus: null, memory_bytes: 2 ** 28 } }));
    expect(after).toMatchObject({ name: "two", port: 8080, protocol: "tcp", dns_name: "web.example" });
    expect(after.limits).toEqual({ pids: 100, memory_bytes: 2 ** 28 });
    await rig.open();
    expect(await rig.sessions.get(id)).toEqual(after);
    expect(rig.emitted.at(-1)).toBe(`container.edited ${id}`);
  });

  test("says restart to apply when its container differs, until it is started again", async () => {
    const { id } = await rig.sessions.create(createParams());
    expect((await rig.sessions.edit(edit(id, { port: 8080 }))).restart_to_apply).toBe(false);
    await rig.sessions.restart(id, false);
    expect((await rig.sessions.edit(edit(id, { dns_name: "web.example" }))).restart_to_apply).toBe(false);
    expect((await rig.sessions.edit(edit(id, { limits: { cpus: 2 } }))).restart_to_apply).toBe(true);
    await rig.open();
    expect((await rig.sessions.get(id)).restart_to_apply).toBe(true);
    expect((await rig.sessions.restart(id, true)).restart_to_apply).toBe(false);
    expect(rig.docker.containers.get(containerName(id))?.spec.HostConfig?.NanoCpus).toBe(2e9);
  });

  test("keeps the former port for its container until that is gone", async () => {
    const { id } = await rig.sessions.create(createParams({ port: 1001, start: true }));
    await rig.sessions.edit(edit(id, { port: 1005 }));
    expect((await rig.sessions.create(createParams({ port: -1 }))).port).toBe(1002);
    await expect(rig.sessions.create(createParams({ port: 1005 }))).rejects.toMatchObject({ code: "PORT_TAKEN" });
    await rig.sessions.restart(id, true);
    expect((await rig.sessions.create(createParams({ port: -1 }))).port).toBe(1001);
  });

  test("gives a killed session's former port to another", async () => {
    const { id } = await rig.sessions.create(createParams({ port: 1001, start: true }));
    await rig.sessions.edit(edit(id, { port: 1005 }));
    await rig.sessions.kill(id);
    expect((await rig.sessions.create(createParams({ port: 1001 }))).port).toBe(1001);
  });

  test("refuses a port or a name that another has, also one that is promised at the same moment", async () => {
    const [a, b] = [await rig.sessions.create(createParams()), await rig.sessions.create(createParams())];
    const refused = async (...race: Promise<unknown>[]): Promise<unknown[]> =>
      (await Promise.allSettled(race)).flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
    expect(
      await refused(
        rig.sessions.edit(edit(a.id, { port: 9000 })),
        rig.sessions.edit(edit(b.id, { port: 9000 })),
        rig.sessions.create(createParams({ port: 9000 })),
      ),
    ).toMatchObject([{ code: "PORT_TAKEN" }, { code: "PORT_TAKEN" }]);
    expect(
      await refused(
        rig.sessions.edit(edit(a.id, { dns_name: "web.example" })),
        rig.sessions.edit(edit(b.id, { dns_name: "WEB.example" })),
        rig.sessions.create(createParams({ dns_name: "web.example" })),
      ),
    ).toMatchObject([{ code: "DNS_NAME_TAKEN" }, { code: "DNS_NAME_TAKEN" }]);
    expect(await rig.sessions.edit(edit(b.id, { port: 9000, protocol: "udp" }))).toMatchObject({ port: 9000 });
  });

  test("sent again changes nothing and tells nothing, a port of -1 included", async () => {
    const { id } = await rig.sessions.create(createParams({ port: 9000 }));
    const first = await rig.sessions.edit(edit(id, { port: -1, name: "two" }));
    const told = rig.emitted.length;
    expect(await rig.sessions.edit(edit(id, { port: -1, name: "two" }))).toEqual(first);
    expect(rig.emitted).toHaveLength(told);
  });

  test("needs no Docker", async () => {
    const { id } = await rig.sessions.create(createParams());
    rig.docker.down = new ConvocateError("DOCKER_ERROR", "no answer");
    expect((await rig.sessions.edit(edit(id, { name: "two" }))).name).toBe("two");
  });
});

describe("clone", () => {
  test("copies home and limits under a new id, with port 0 and no DNS name, and leaves the source as it was", async () => {
    const source = await rig.sessions.create(
      createParams({ port: 8080, dns_name: "web.example", public: true, limits: { cpus: 1 }, start: true }),
    );
    writeFileSync(join(rig.home(source.id), "file"), "text");
    const { session, skipped, skipped_total } = await rig.sessions.clone(clone(source.id));
    expect(session).toMatchObject({ name: "copy", port: 0, dns_name: null, public: false, limits: { cpus: 1 } });
    expect(session.id).not.toBe(source.id);
    expect(session.status.state).toBe("stopped");
    expect([skipped, skipped_total]).toEqual([[], 0]);
    expect(readFileSync(join(rig.home(session.id), "file"), "utf8")).toBe("text");
    expect(await rig.sessions.get(source.id)).toEqual(source);
    await rig.sessions.restart(session.id, false);
    expect(rig.docker.containers.get(containerName(session.id))?.spec.Env).toContain("CONVOCATE_RESUME=1");
  });

  test("sent again gives the same copy, at the same time, later, and after a restart of the agent", async () => {
    const { id } = await rig.sessions.create(createParams());
    const request = clone(id);
    const [one, two] = await Promise.all([rig.sessions.clone(request), rig.sessions.clone(request)]);
    const three = await rig.sessions.clone(request);
    await rig.open();
    const four = await rig.sessions.clone(request);
    expect(new Set([one, two, three, four].map(({ session }) => session.id)).size).toBe(1);
    expect(await rig.sessions.list()).toHaveLength(2);
  });

  test("keeps its source from being deleted meanwhile, not from being started", async () => {
    const { id } = await rig.sessions.create(createParams());
    const copying = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    rig.step = async (done) => {
      if (done !== "home prepared") return;
      copying.resolve();
      await go.promise;
    };
    await rig.open();
    const cloning = rig.sessions.clone(clone(id));
    await copying.promise;
    await expect(rig.sessions.delete(id)).rejects.toMatchObject({
      code: "SESSION_LOCKED",
      message: expect.stringContaining("clone"),
    });
    expect((await rig.sessions.restart(id, false)).status.state).toBe("running");
    go.resolve();
    await cloning;
    await rig.sessions.delete(id);
    expect(await rig.sessions.list()).toMatchObject([{ name: "copy" }]);
  });

  test("of a home that is lost says so and leaves nothing", async () => {
    const { id } = await rig.sessions.create(createParams());
    await rig.homes.setAside(id);
    await expect(rig.sessions.clone(clone(id))).rejects.toMatchObject({ code: "IO_ERROR" });
    expect(await rig.sessions.list()).toHaveLength(1);
  });
});

test("a cordoned agent makes and copies no sessions; what it has is started, and an answered request is answered", async () => {
  const params = createParams();
  const { id } = await rig.sessions.create(params);
  rig.cordoned = true;
  await expect(rig.sessions.create(createParams())).rejects.toMatchObject({ code: "REFUSED" });
  await expect(rig.sessions.clone(clone(id))).rejects.toMatchObject({ code: "REFUSED" });
  expect((await rig.sessions.restart(id, false)).status.state).toBe("running");
  expect((await rig.sessions.create(params)).id).toBe(id);
  await rig.open();
  expect((await rig.sessions.create(params)).id).toBe(id);
  expect(await rig.sessions.list()).toHaveLength(1);
  rig.cordoned = false;
  await rig.sessions.create(createParams());
});

describe("a request that is sent again", () => {
  test("restart: gives the same answer, not SESSION_RUNNING; joins one under way; also after a crash", async () => {
    const { id } = await rig.sessions.create(createParams());
    const [one, two] = await Promise.all([
      rig.sessions.restart(id, false, "restart-1"),
      rig.sessions.restart(id, false, "restart-1"),
    ]);
    expect(one).toEqual(two);
    expect(await rig.sessions.restart(id, false, "restart-1")).toEqual(one);
    await rig.open();
    expect((await rig.sessions.restart(id, true, "restart-1")).status).toEqual(one.status);
    expect(rig.docker.calls.filter((call) => call.startsWith("start "))).toHaveLength(1);
    await expect(rig.sessions.restart(id, false, "restart-2")).rejects.toMatchObject({ code: "SESSION_RUNNING" });
  });

  test("restart that failed is tried again", async () => {
    const { id } = await rig.sessions.create(createParams());
    rig.image = null;
    await expect(rig.sessions.restart(id, false, "restart-1")).rejects.toMatchObject({ code: "IMAGE_NOT_SET" });
    rig.image = "convocate:1";
    expect((await rig.sessions.restart(id, false, "restart-1")).status.state).toBe("running");
  });

  test("delete: done is done; without the request's id, or with another, the session is not found", async () => {
    const { id } = await rig.sessions.create(createParams());
    await Promise.all([rig.sessions.delete(id, "delete-1"), rig.sessions.delete(id, "delete-1")]);
    await rig.sessions.delete(id, "delete-1");
    await expect(rig.sessions.delete(id)).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    await expect(rig.sessions.delete(id, "delete-2")).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    expect(rig.emitted.filter((one) => one === `container.deleted ${id}`)).toHaveLength(1);
  });

  test("create: after its session was deleted makes no second one", async () => {
    const request = createParams();
    const { id } = await rig.sessions.create(request);
    await rig.sessions.delete(id);
    await expect(rig.sessions.create(request)).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    expect(await rig.sessions.list()).toEqual([]);
  });
});

describe("override", () => {
  test("clears nothing where there is no lock", async () => {
    const before = await rig.sessions.create(createParams());
    expect(await rig.sessions.override({ id: before.id, force: false })).toEqual(before);
  });

  test("clears a live lock by force only; the operation behind it does no harm to the next one's", async () => {
    const { id } = await rig.sessions.create(createParams());
    const gate = Promise.withResolvers<void>();
    rig.docker.beforeStart = () => gate.promise;
    const stuck = rig.sessions.restart(id, false);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await expect(rig.sessions.override({ id, force: false })).rejects.toMatchObject({
      code: "SESSION_LOCKED",
      message: expect.stringMatching(/restart .* is in flight since .*--force/),
    });
    expect((await rig.sessions.override({ id, force: true })).status.state).toBe("stopped");
    const [begun, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const next = rig.locks.run(id, "edit", () => (begun.resolve(), held.promise));
    // Its lock is on disk then, and stays there whatever the other does at its end.
    await begun.promise;
    gate.resolve();
    await stuck;
    expect(rig.locks.holder(id)).toMatchObject({ operation: "edit" });
    expect(existsSync(join(rig.root, "locks", `${id}.json`))).toBe(true);
    held.resolve();
    await next;
    expect(existsSync(join(rig.root, "locks", `${id}.json`))).toBe(false);
  });
});

describe("metadata that cannot be written", () => {
  const lostFolder = (): void => rmSync(join(rig.root, "sessions"), { recursive: true });

  test("a forced restart leaves the session running; a kill stops it and says what was not noted", async () => {
    const { id } = await rig.sessions.create(createParams({ start: true }));
    lostFolder();
    const refused = { code: "IO_ERROR", message: expect.stringContaining(`${id}.json`) };
    await expect(rig.sessions.restart(id, true)).rejects.toMatchObject(refused);
    expect((await rig.sessions.get(id)).status.state).toBe("running");
    await expect(rig.sessions.kill(id)).rejects.toMatchObject(refused);
    expect((await rig.sessions.get(id)).status.state).toBe("stopped");
  });

  test("a create leaves nothing, and an edit what was", async () => {
    const before = await rig.sessions.create(createParams({ port: 1001 }));
    lostFolder();
    await expect(rig.sessions.create(createParams())).rejects.toMatchObject({ code: "IO_ERROR" });
    await expect(rig.sessions.edit(edit(before.id, { port: 1002 }))).rejects.toMatchObject({ code: "IO_ERROR" });
    expect(await rig.sessions.list()).toEqual([before]);
    expect(readdirSync(join(rig.root, "home"))).toEqual([before.id]);
  });
});

describe("logs", () => {
  test("gives the last lines, or newer ones only when asked", async () => {
    const { id } = await rig.sessions.create(createParams());
    expect(await rig.sessions.logs(OPS.logs.params.parse({ id }))).toEqual([]);
    const line = (n: number) => ({ timestamp: `2026-11-21T00:00:00.00000${n}Z`, text: `line ${n}` });
    for (let n = 1; n <= 3; n++) rig.journal.tell(id, line(n).text);
    expect(await rig.sessions.logs(OPS.logs.params.parse({ id, lines: 2 }))).toEqual([line(2), line(3)]);
    expect(await rig.sessions.logs(OPS.logs.params.parse({ id, after: line(2).timestamp }))).toEqual([line(3)]);
  });
});
