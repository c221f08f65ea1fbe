import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { TransferAgent } from "../../../test/agent/transfer-agent.js";
import { TransferStage, until } from "../../../test/agent/transfer-stage.js";
import { containerName } from "../../agent/containers/spec.js";
import type { Session } from "../../domain/index.js";
import type { MoveProgress } from "../cluster.js";
import { moveSession } from "./move.js";

let stage: TransferStage;
let here: TransferAgent;
let there: TransferAgent;
let session: Session;
let digest: string;
beforeEach(async () => {
  stage = await TransferStage.open();
  ({ here, there, session, digest } = stage);
});
afterEach(() => stage[Symbol.asyncDispose]());

describe("a move", () => {
  test("takes home, id, name, port and DNS name along, and goes on running there", async () => {
    const seen: MoveProgress[] = [];
    const moved = await moveSession(session.id, here, there, { onProgress: (one) => seen.push(one) });
    expect(moved).toMatchObject({
      session: { id: session.id, name: "one", port: 8080, dns_name: "web.example", agent_id: there.id },
      skipped: [],
      warnings: [],
    });
    expect(moved.session.status.state).toBe("running");
    expect(moved.session.created_at).toBe(session.created_at);
    expect(there.docker.containers.get(containerName(session.id))?.spec.Env).toContain("CONVOCATE_RESUME=1");
    expect(await stage.digestOf(there)).toBe(digest);
    expect(existsSync(stage.home(here))).toBe(false);
    expect(await here.sessions.list()).toEqual([]);
    expect(here.docker.containers.size).toBe(0);
    expect(here.events).toContain(`container.deleted ${session.id}`);
    expect(there.events).toContain(`container.created ${session.id}`);
    expect(there.records.all()).toEqual([]);
    expect([...new Set(seen.map(({ step }) => step))]).toEqual([
      "checking",
      "stopping",
      "copying",
      "verifying",
      "switching",
      "starting",
      "cleaning",
    ]);
    expect(seen.at(-1)?.bytes).toBeGreaterThan(40_000);
  });

  test("keeps holes as holes and hard links as links", async () => {
    await moveSession(session.id, here, there);
    const du = execFileSync("du", ["--summarize", "--block-size=1", stage.home(there)], { encoding: "utf8" });
    expect(Number(du.split("\t")[0])).toBeLessThan(1024 * 1024);
    const links = execFileSync("stat", ["-c", "%h", join(stage.home(there), "hard")], { encoding: "utf8" });
    expect(links.trim()).toBe("2");
  });

  test("leaves a stopped session stopped, and can come back", async () => {
    await here.sessions.kill(session.id);
    expect((await moveSession(session.id, here, there)).session.status.state).toBe("stopped");
    await moveSession(session.id, there, here);
    expect(await stage.living()).toEqual([here]);
    expect(await stage.digestOf(here)).toBe(digest);
  });

  test("leaves sockets and FIFOs behind and names them", async () => {
    execFileSync("mkfifo", [join(stage.home(here), "src/pipe")]);
    const moved = await moveSession(session.id, here, there);
    expect(moved).toMatchObject({ skipped: [{ path: "src/pipe", kind: "fifo" }], skipped_total: 1 });
    expect(existsSync(join(stage.home(there), "src/pipe"))).toBe(false);
  });

  test("is refused before anything is stopped: port, DNS name, room, service user, id", async () => {
    const other = await stage.create({ name: "other", port: 8080 }, there);
    await expect(moveSession(session.id, here, there)).rejects.toMatchObject({
      code: "PORT_TAKEN",
      message: expect.stringMatching(/agent there: port 8080\/tcp .* other .*--port/),
    });
    await there.sessions.delete(other.id);
    const named = await stage.create({ dns_name: "web.example" }, there);
    await expect(moveSession(session.id, here, there)).rejects.toMatchObject({ code: "DNS_NAME_TAKEN" });
    await there.sessions.delete(named.id);
    there.full = true;
    await expect(moveSession(session.id, here, there)).rejects.toMatchObject({ code: "ADMISSION_DENIED" });
    there.cordoned = true;
    await expect(moveSession(session.id, here, there)).rejects.toMatchObject({ code: "REFUSED" });
    const stranger = await stage.agent("stranger", { uid: 4242 });
    await expect(moveSession(session.id, here, stranger)).rejects.toMatchObject({ code: "REFUSED" });
    await expect(moveSession(session.id, here, here)).rejects.toMatchObject({ code: "SESSION_EXISTS" });
    expect(here.docker.calls.filter((call) => call.startsWith("stop"))).toEqual([]);
    expect(stage.isRunning(here)).toBe(true);
    expect(here.effects).not.toContain("containers.stop");
  });

  test("takes another port where its own is taken, when asked", async () => {
    await stage.create({ name: "other", port: 8080 }, there);
    const moved = await moveSession(session.id, here, there, { port: -1 });
    expect(moved.session.port).toBe(1001);
  });

  test("of a session that moves already is refused, and the first one goes on", async () => {
    const gate = Promise.withResolvers<void>();
    there.sync = () => gate.promise;
    const first = moveSession(session.id, here, there);
    await until(() => here.store.get(session.id)?.transfer?.state === "moving");
    await expect(moveSession(session.id, here, there)).rejects.toMatchObject({ code: "SESSION_LOCKED" });
    gate.resolve();
    await first;
    expect(await stage.living()).toEqual([there]);
  });

  test("that is aborted on the way is taken back: the session runs where it was, and nothing is left there", async () => {
    const abort = new AbortController();
    there.sync = async () => abort.abort(new Error("Ctrl-C"));
    await expect(moveSession(session.id, here, there, { signal: abort.signal })).rejects.toThrow("Ctrl-C");
    await here.settled();
    await until(() => stage.isRunning(here));
    expect(await stage.living()).toEqual([here]);
    await until(() => readdirSync(join(there.root, "home")).length === 0);
    expect((await stage.create({ port: 8080 }, there)).port).toBe(8080);
  });

  test("to a disk that is full leaves the session where it was, running", async () => {
    there.sync = async () => {
      throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    };
    await expect(moveSession(session.id, here, there)).rejects.toThrow(/no space left/);
    await until(() => stage.isRunning(here));
    expect(await stage.living()).toEqual([here]);
    there.sync = async () => undefined;
    await moveSession(session.id, here, there);
    expect(await stage.living()).toEqual([there]);
  });

  test("whose lock is cleared by force may not commit: what was sent is not what is here any more", async () => {
    const gate = Promise.withResolvers<void>();
    there.sync = () => gate.promise;
    const moving = moveSession(session.id, here, there);
    moving.catch(() => undefined);
    await until(() => here.store.get(session.id)?.transfer?.state === "moving");
    await here.sessions.override({ id: session.id, force: true });
    await here.sessions.restart(session.id, false);
    gate.resolve();
    await expect(moving).rejects.toMatchObject({ code: "SESSION_LOCKED" });
    expect(await stage.living()).toEqual([here]);
    expect(stage.isRunning(here)).toBe(true);
  });

  test("to an agent that is gone for good is taken back by force, and by nothing less", async () => {
    const { peers } = stage.network({ at: "activate", when: "before", what: "shell" });
    await expect(moveSession(session.id, ...peers, { patienceMs: 0 })).rejects.toMatchObject({
      message: expect.stringContaining("finish it with `convocate move"),
    });
    expect(await stage.living()).toEqual([]);
    const { id } = session;
    await expect(here.sessions.override({ id, force: false })).rejects.toMatchObject({ code: "SESSION_MOVED" });
    await here.sessions.override({ id, force: true });
    expect(await stage.living()).toEqual([here]);
    expect((await here.sessions.restart(id, false)).status.state).toBe("running");
  });

  test("that did not start there says so and is done", async () => {
    there.docker.images.clear();
    const moved = await moveSession(session.id, here, there);
    expect(moved.warnings).toEqual([expect.stringMatching(/did not start there: .*image/)]);
    expect(await stage.living()).toEqual([there]);
  });
});
