import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { SessionsRig, createParams } from "../../../test/agent/sessions-rig.js";
import { ConvocateError, newSessionId } from "../../domain/index.js";
import { containerName } from "../containers/spec.js";

let rig: SessionsRig;
beforeEach(async () => {
  rig = await SessionsRig.start();
});
afterEach(() => rig[Symbol.dispose]());

describe("create", () => {
  test("makes metadata and a home, and no container", async () => {
    const made = await rig.sessions.create(createParams({ port: 8080, limits: { cpus: 1 } }));
    expect(made).toMatchObject({ name: "one", port: 8080, image: null, agent_id: "abcd1234" });
    expect(made.status).toEqual({ state: "stopped", exit_code: null, oom_killed: false });
    expect(existsSync(rig.home(made.id))).toBe(true);
    expect(rig.docker.containers.size).toBe(0);
    expect(rig.emitted).toEqual([`container.created ${made.id}`]);
  });

  test("starts it at once when asked", async () => {
    const made = await rig.sessions.create(createParams({ start: true }));
    expect(made.status).toMatchObject({ state: "running" });
    expect(made.image).toBe("convocate:1");
    expect(rig.docker.networks.has("convocate")).toBe(true);
  });

  test("gives the same session for the same request, at the same time and after a restart of the agent", async () => {
    const request = createParams();
    const [one, two] = await Promise.all([rig.sessions.create(request), rig.sessions.create(request)]);
    await rig.open();
    const three = await rig.sessions.create(request);
    expect(new Set([one.id, two.id, three.id]).size).toBe(1);
    expect(await rig.sessions.list()).toHaveLength(1);
  });

  test("starts on the second attempt what the first had no time to start", async () => {
    const request = createParams();
    await rig.sessions.create(request);
    await rig.open();
    expect((await rig.sessions.create({ ...request, start: true })).status.state).toBe("running");
  });

  test("gives sixteen at once sixteen ports", async () => {
    const made = await Promise.all(Array.from({ length: 16 }, () => rig.sessions.create(createParams({ port: -1 }))));
    expect(made.map(({ port }) => port).sort()).toEqual(Array.from({ length: 16 }, (_, at) => 1001 + at));
  });

  test("refuses a port and a DNS name that are taken, also by a create under way", async () => {
    const race = await Promise.allSettled([
      rig.sessions.create(createParams({ port: 9000 })),
      rig.sessions.create(createParams({ port: 9000 })),
    ]);
    expect(race.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    await rig.sessions.create(createParams({ dns_name: "web.example" }));
    await expect(rig.sessions.create(createParams({ dns_name: "WEB.example" }))).rejects.toMatchObject({
      code: "DNS_NAME_TAKEN",
    });
    expect(await rig.sessions.list()).toHaveLength(2);
  });

  test("makes nothing when it could not be started: no image set, image missing, wrong cgroup driver", async () => {
    rig.image = null;
    await expect(rig.sessions.create(createParams({ start: true }))).rejects.toMatchObject({ code: "IMAGE_NOT_SET" });
    rig.image = "convocate:9";
    await expect(rig.sessions.create(createParams({ start: true }))).rejects.toMatchObject({ code: "IMAGE_MISSING" });
    rig.image = "convocate:1";
    rig.docker.driver = "cgroupfs";
    await expect(rig.sessions.create(createParams({ start: true }))).rejects.toMatchObject({
      code: "REFUSED",
      message: expect.stringContaining("native.cgroupdriver=systemd"),
    });
    expect(await rig.sessions.list()).toEqual([]);
    expect(readdirSync(join(rig.root, "home"))).toEqual([]);
    expect(rig.docker.calls).toEqual([]);
  });

  test("asks for Docker's cgroup driver once, and again when Docker may have been started anew", async () => {
    rig.containers.watched(true);
    await rig.sessions.create(createParams({ start: true }));
    rig.docker.driver = "cgroupfs";
    expect(await rig.containers.cgroupDriver()).toBe("systemd");
    for (const watched of [false, true]) {
      rig.containers.watched(watched);
      await expect(rig.sessions.create(createParams({ start: true }))).rejects.toMatchObject({ code: "REFUSED" });
    }
  });

  test("says that it made the session when only the start failed", async () => {
    rig.docker.beforeStart = () => Promise.reject(new ConvocateError("DOCKER_ERROR", "port is allocated"));
    await expect(rig.sessions.create(createParams({ start: true }))).rejects.toMatchObject({
      code: "DOCKER_ERROR",
      message: expect.stringMatching(/was made but did not start: port is allocated/),
    });
    expect(await rig.sessions.list()).toHaveLength(1);
  });
});

describe("admission", () => {
  test("sixteen starts at once never pass the cap; what is refused is not made, and its port is free", async () => {
    rig.cores = 4;
    const race = await Promise.allSettled(
      Array.from({ length: 16 }, () =>
        rig.sessions.create(createParams({ start: true, port: -1, limits: { cpus: 0.9 } })),
      ),
    );
    const made = race.filter((one) => one.status === "fulfilled");
    expect(made).toHaveLength(4);
    for (const one of race) {
      if (one.status === "rejected")
        expect(one.reason).toMatchObject({
          code: "ADMISSION_DENIED",
          message:
            "admission denied: would push convocate-sessions.slice to 113% of host CPU (4.5 of 3.6 cores allowed); " +
            "current usage 3.6 cores across 4 sessions",
        });
    }
    const listed = await rig.sessions.list();
    expect(listed).toHaveLength(4);
    expect(readdirSync(join(rig.root, "home"))).toHaveLength(4);
    const stopped = await Promise.all(
      Array.from({ length: 16 }, () => rig.sessions.create(createParams({ port: -1 }))),
    );
    expect(new Set([...listed, ...stopped].map(({ port }) => port)).size).toBe(20);
  });

  test("one that is refused by a forced restart goes on as it was, and its own pledge does not count twice", async () => {
    rig.cores = 1;
    const { id } = await rig.sessions.create(createParams({ start: true, limits: { cpus: 0.9 } }));
    expect((await rig.sessions.restart(id, true)).status.state).toBe("running");
    rig.cores = 0.5;
    await expect(rig.sessions.restart(id, true)).rejects.toMatchObject({ code: "ADMISSION_DENIED" });
    expect((await rig.sessions.get(id)).status.state).toBe("running");
  });

  test("a start that fails gives back what it had reserved", async () => {
    rig.cores = 1;
    rig.docker.beforeStart = () => Promise.reject(new ConvocateError("DOCKER_ERROR", "no"));
    const limits = { cpus: 0.9 };
    await expect(rig.sessions.create(createParams({ start: true, limits }))).rejects.toMatchObject({
      code: "DOCKER_ERROR",
    });
    rig.docker.beforeStart = async () => undefined;
    expect((await rig.sessions.create(createParams({ start: true, limits }))).status.state).toBe("running");
  });

  test("a start is answered with what was seen of it: Docker is not asked once more", async () => {
    let asked = 0;
    rig.docker.beforeInspect = async () => void (asked += 1);
    const params = createParams({ start: true });
    expect((await rig.sessions.create(params)).status.state).toBe("running");
    expect(asked).toBe(1);
    // Sent again, it is answered with how things are then.
    const again = await rig.sessions.create(params);
    await rig.sessions.kill(again.id);
    expect((await rig.sessions.create(params)).status.state).toBe("stopped");
  });

  test("a container that the kernel shows outside the slice is removed again, and the start refused", async () => {
    rig.docker.beforeStart = async () => void Array.from({ length: 2000 }, (_, pid) => rig.cgroups.escaped.add(pid));
    const { id } = await rig.sessions.create(createParams());
    await expect(rig.sessions.restart(id, false)).rejects.toMatchObject({ code: "REFUSED" });
    expect(rig.docker.containers.size).toBe(0);
    expect(rig.store.get(id)).toMatchObject({ started_before: false, runs_in_boot: null });
  });
});

describe("restart", () => {
  test("makes a new container of the image that is current now, which goes on with the conversation", async () => {
    const { id } = await rig.sessions.create(createParams({ start: true }));
    await rig.sessions.kill(id);
    rig.image = "convocate:2";
    const again = await rig.sessions.restart(id, false);
    expect(again).toMatchObject({ image: "convocate:2", status: { state: "running" } });
    expect(rig.docker.containers.get(containerName(id))?.spec.Env).toContain("CONVOCATE_RESUME=1");
  });

  test("refuses a running one unless forced, which stops it first", async () => {
    const { id } = await rig.sessions.create(createParams({ start: true }));
    await expect(rig.sessions.restart(id, false)).rejects.toMatchObject({ code: "SESSION_RUNNING" });
    rig.docker.calls.length = 0;
    await rig.sessions.restart(id, true);
    expect(rig.docker.calls.map((call) => call.split(" ")[0])).toEqual(["stop", "remove", "create", "start"]);
  });

  test("costs no running session when the new container could not be made", async () => {
    const { id } = await rig.sessions.create(createParams({ start: true }));
    rig.image = "convocate:9";
    await expect(rig.sessions.restart(id, true)).rejects.toMatchObject({ code: "IMAGE_MISSING" });
    expect((await rig.sessions.get(id)).status.state).toBe("running");
  });

  test("takes the image that is current meanwhile when an update and the daily job took the one it was to start", async () => {
    const { id } = await rig.sessions.create(createParams({ start: true }));
    // Between the leave to start and the making of the container lies the stop of the one before.
    rig.docker.beforeStop = async () => {
      rig.image = "convocate:2";
      rig.docker.images.delete("convocate:1");
    };
    await rig.sessions.restart(id, true);
    const [container] = [...rig.docker.containers.values()];
    expect(container?.spec.Image).toBe("convocate:2");
    expect((await rig.sessions.get(id)).status.state).toBe("running");
  });

  test("is refused while another operation holds the session, which every list shows as locked", async () => {
    const { id } = await rig.sessions.create(createParams());
    const other = await rig.sessions.create(createParams({ name: "other" }));
    const gate = Promise.withResolvers<void>();
    rig.docker.beforeStart = () => gate.promise;
    const first = rig.sessions.restart(id, false);
    const listed = new Map((await rig.sessions.list()).map((one) => [one.id, one.status]));
    expect(listed.get(id)).toMatchObject({ state: "locked", operation: "restart" });
    expect(listed.get(other.id)).toMatchObject({ state: "stopped" });
    await expect(rig.sessions.kill(id)).rejects.toMatchObject({ code: "SESSION_LOCKED" });
    gate.resolve();
    expect((await first).status.state).toBe("running");
  });
});

describe("kill, background and delete", () => {
  test("kill stops it and keeps the container with its exit code; again does nothing", async () => {
    const { id } = await rig.sessions.create(createParams({ start: true }));
    expect((await rig.sessions.kill(id)).status).toEqual({ state: "stopped", exit_code: 0, oom_killed: false });
    expect((await rig.sessions.kill(id)).status.state).toBe("stopped");
    expect(rig.docker.containers.has(containerName(id))).toBe(true);
  });

  test("background answers with how many clients it detached", async () => {
    const { id } = await rig.sessions.create(createParams({ start: true }));
    expect(await rig.sessions.background(id)).toBe(3);
    expect((await rig.sessions.get(id)).status.state).toBe("running");
  });

  test("background of one that does not run says which it is, and how to start it", async () => {
    const { id, name } = await rig.sessions.create(createParams());
    await expect(rig.sessions.background(id)).rejects.toMatchObject({
      code: "SESSION_NOT_RUNNING",
      message: `session ${name} is not running: start it with \`convocate restart ${name}\``,
    });
  });

  test("delete takes container, home and metadata, and its port is free again", async () => {
    const { id } = await rig.sessions.create(createParams({ start: true, port: 7000 }));
    await rig.sessions.delete(id);
    expect(rig.docker.containers.size).toBe(0);
    expect(existsSync(rig.home(id))).toBe(false);
    expect(readdirSync(join(rig.root, "sessions"))).toEqual([]);
    expect(rig.emitted).toContain(`container.deleted ${id}`);
    expect((await rig.sessions.create(createParams({ port: 7000 }))).port).toBe(7000);
  });

  test("a session whose container Docker cannot tell of can be deleted, and by force restarted", async () => {
    const [one, two] = [
      await rig.sessions.create(createParams({ start: true })),
      await rig.sessions.create(createParams({ start: true })),
    ];
    let broken = rig.docker.containers.get(containerName(two.id))?.state.id;
    rig.docker.beforeInspect = async (name) => {
      const { id } = rig.docker.containers.get(name)?.state ?? {};
      if (name === containerName(one.id) || id === broken) throw new ConvocateError("DOCKER_ERROR", "RWLayer is nil");
    };
    await rig.sessions.delete(one.id);
    expect([...rig.docker.containers.keys()]).toEqual([containerName(two.id)]);
    await expect(rig.sessions.restart(two.id, false)).rejects.toMatchObject({ code: "DOCKER_ERROR" });
    expect((await rig.sessions.restart(two.id, true)).status.state).toBe("running");
    broken = undefined;
    expect(await rig.sessions.list()).toMatchObject([{ id: two.id, status: { state: "running" } }]);
  });

  test("a delete that Docker refuses leaves the whole session", async () => {
    const { id } = await rig.sessions.create(createParams());
    rig.docker.down = new ConvocateError("DOCKER_ERROR", "Docker does not answer");
    await expect(rig.sessions.delete(id)).rejects.toMatchObject({ code: "DOCKER_ERROR" });
    expect(existsSync(rig.home(id))).toBe(true);
    rig.docker.down = null;
    expect(await rig.sessions.list()).toHaveLength(1);
  });

  test("everything about a session that is not there is SESSION_NOT_FOUND", async () => {
    const id = newSessionId();
    for (const call of [
      () => rig.sessions.get(id),
      () => rig.sessions.restart(id, true),
      () => rig.sessions.kill(id),
      () => rig.sessions.background(id),
      () => rig.sessions.delete(id),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    }
    expect(rig.docker.calls).toEqual([]);
  });
});

describe("ports of the host's own", () => {
  beforeEach(async () => {
    rig.reservedPorts = [22, 2222, 1001];
    await rig.open();
  });

  test("are refused to a create and an edit, and -1 gives none of them", async () => {
    await expect(rig.sessions.create(createParams({ port: 2222 }))).rejects.toMatchObject({
      code: "PORT_TAKEN",
      message: expect.stringContaining("port 2222 is one of this host's own (22, 2222, 1001)"),
    });
    const made = await rig.sessions.create(createParams({ port: -1 }));
    expect(made.port).toBe(1002);
    await expect(rig.sessions.edit({ id: made.id, port: 2222 })).rejects.toMatchObject({ code: "PORT_TAKEN" });
    expect(await rig.sessions.list()).toMatchObject([{ id: made.id, port: 1002 }]);
    expect(() => rig.sessions.wouldHold({ ...rig.store.get(made.id)!, port: 2222 })).toThrow(
      expect.objectContaining({ code: "PORT_TAKEN" }),
    );
  });

  test("that a session has since before they were keep it from starting, and not from being edited", async () => {
    rig.reservedPorts = [22];
    await rig.open();
    const { id } = await rig.sessions.create(createParams({ port: 2222, start: true }));
    rig.reservedPorts = [22, 2222];
    await rig.open();
    await expect(rig.sessions.restart(id, true)).rejects.toMatchObject({ code: "PORT_TAKEN" });
    expect((await rig.sessions.get(id)).status.state).toBe("running");
    expect(await rig.sessions.edit({ id, name: "two" })).toMatchObject({ name: "two", port: 2222 });
    await rig.sessions.edit({ id, port: 2223 });
    expect((await rig.sessions.restart(id, true)).port).toBe(2223);
  });
});

describe("list", () => {
  test("shows how a session ended, and a Docker that does not answer as an error, not as stopped", async () => {
    const { id } = await rig.sessions.create(createParams({ start: true }));
    rig.docker.die(containerName(id), 137, true);
    expect((await rig.sessions.list())[0]?.status).toEqual({ state: "stopped", exit_code: 137, oom_killed: true });
    rig.docker.down = new ConvocateError("DOCKER_ERROR", "Docker does not answer");
    expect((await rig.sessions.list())[0]?.status).toEqual({ state: "error", message: "Docker does not answer" });
    expect((await rig.sessions.get(id)).status.state).toBe("error");
  });

  test("shows an error for the one container that Docker cannot tell of, and every other as it is", async () => {
    const [broken, fine] = [
      await rig.sessions.create(createParams({ start: true })),
      await rig.sessions.create(createParams({ start: true })),
    ];
    const states = async (): Promise<(string | undefined)[]> => {
      const listed = new Map((await rig.sessions.list()).map((one) => [one.id, one.status.state]));
      return [listed.get(broken.id), listed.get(fine.id)];
    };
    rig.docker.beforeInspect = async (name) => {
      if (name === containerName(broken.id)) throw new ConvocateError("DOCKER_ERROR", "RWLayer is unexpectedly nil");
    };
    expect(await states()).toEqual(["error", "running"]);
    const shim = Promise.withResolvers<void>();
    let asked = 0;
    rig.docker.beforeInspect = async (name) => {
      if (name !== containerName(broken.id)) return;
      asked += 1;
      await shim.promise;
    };
    const since = Date.now();
    expect(await states()).toEqual(["error", "running"]);
    expect(Date.now() - since).toBeLessThan(5_000);
    const one = Date.now();
    expect((await rig.sessions.get(broken.id)).status).toMatchObject({
      state: "error",
      message: expect.stringContaining("containerd-shim"),
    });
    expect(Date.now() - one).toBeLessThan(5_000);
    // It is not asked again, nor waited for again, while the first question is open.
    const again = Date.now();
    expect(await states()).toEqual(["error", "running"]);
    expect(Date.now() - again).toBeLessThan(1_000);
    expect(asked).toBe(2);
    shim.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    expect(await states()).toEqual(["running", "running"]);
  });

  test("shows one that runs in a container of an earlier release, which has no label, as running", async () => {
    const { id } = await rig.sessions.create(createParams());
    await rig.docker.create({ name: containerName(id), Image: "convocate:1" });
    await rig.docker.start(containerName(id));
    expect(await rig.sessions.list()).toMatchObject([{ id, status: { state: "running" } }]);
    await rig.sessions.restart(id, true);
    expect((await rig.containers.state(id))?.former).toBeUndefined();
  });

  test("finds running sessions again after a restart of the agent", async () => {
    const { id } = await rig.sessions.create(createParams({ start: true }));
    await rig.open();
    expect(await rig.sessions.list()).toMatchObject([{ id, status: { state: "running" } }]);
  });
});
