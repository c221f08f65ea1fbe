import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { FakeCgroups } from "../../../test/agent/fake-cgroups.js";
import { FakeDocker } from "../../../test/agent/fake-docker.js";
import { AgentId, AgentSettings, ConvocateError, SessionId, newSessionId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { OPS, type OpInput, type OpParams } from "../../protocol/rpc/ops.js";
import { Admission } from "../capacity/admission.js";
import { systemClock } from "../clock.js";
import { Containers } from "../containers/containers.js";
import { containerName } from "../containers/spec.js";
import { Homes } from "./homes.js";
import { Locks } from "./locks.js";
import { MetadataStore } from "./metadata.js";
import { Sessions } from "./sessions.js";

let root: string;
let docker: FakeDocker;
let image: string | null;
let emitted: string[];
let sessions: Sessions;
let locks: Locks;
let cgroups: FakeCgroups;
let cores: number;

async function open(): Promise<void> {
  const settings = AgentSettings.parse({
    name: "a",
    home: join(root, "home"),
    uid: process.getuid!() || 1,
    gid: process.getgid!() || 1,
  });
  const store = await MetadataStore.open(join(root, "sessions"), silentLog);
  await store.tidy();
  const homes = new Homes(settings.home, settings);
  await homes.tidy((id) => store.get(id) !== undefined, silentLog);
  locks = new Locks(systemClock, 200);
  const admission = new Admission({
    docker,
    settings: () => ({ ...settings.capacity, ...settings.session.limits }),
    total: async () => ({ cpus: cores, memory_bytes: 1024 ** 4, disk_bytes: 1024 ** 4 }),
    sessions: () => store.all(),
    diskUse: () => 0,
    clock: systemClock,
  });
  sessions = new Sessions({
    agentId: AgentId.parse("abcd1234"),
    store,
    homes,
    containers: new Containers({
      docker,
      settings: () => settings,
      homes,
      currentImage: () => image,
      admission,
      cgroups,
    }),
    locks,
    events: { emit: (type, id) => void emitted.push(`${type} ${id ?? ""}`) },
    clock: systemClock,
    attached: () => 0,
    detachAll: async () => 3,
  });
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "convocate-sessions-"));
  docker = new FakeDocker();
  cgroups = new FakeCgroups();
  cores = 100;
  docker.images.add("convocate:1").add("convocate:2");
  image = "convocate:1";
  emitted = [];
  await open();
});
afterEach(() => rmSync(root, { recursive: true }));

let requests = 0;
function params(change: Partial<OpInput<"create">> = {}): OpParams<"create"> {
  return OPS.create.params.parse({ request_id: `request-${(requests += 1)}`, name: "one", ...change });
}
const homeOf = (id: SessionId): string => join(root, "home", id);

describe("create", () => {
  test("makes metadata and a home, and no container", async () => {
    const made = await sessions.create(params({ port: 8080, limits: { cpus: 1 } }));
    expect(made).toMatchObject({ name: "one", port: 8080, image: null, agent_id: "abcd1234" });
    expect(made.status).toEqual({ state: "stopped", exit_code: null, oom_killed: false });
    expect(existsSync(homeOf(made.id))).toBe(true);
    expect(docker.containers.size).toBe(0);
    expect(emitted).toEqual([`container.created ${made.id}`]);
  });

  test("starts it at once when asked", async () => {
    const made = await sessions.create(params({ start: true }));
    expect(made.status).toMatchObject({ state: "running" });
    expect(made.image).toBe("convocate:1");
    expect(docker.networks.has("convocate")).toBe(true);
  });

  test("gives the same session for the same request, at the same time and after a restart of the agent", async () => {
    const request = params();
    const [one, two] = await Promise.all([sessions.create(request), sessions.create(request)]);
    await open();
    const three = await sessions.create(request);
    expect(new Set([one.id, two.id, three.id]).size).toBe(1);
    expect(await sessions.list()).toHaveLength(1);
  });

  test("starts on the second attempt what the first had no time to start", async () => {
    const request = params();
    await sessions.create(request);
    expect((await sessions.create({ ...request, start: true })).status.state).toBe("running");
  });

  test("gives sixteen at once sixteen ports", async () => {
    const made = await Promise.all(Array.from({ length: 16 }, () => sessions.create(params({ port: -1 }))));
    expect(made.map(({ port }) => port).sort()).toEqual(Array.from({ length: 16 }, (_, at) => 1001 + at));
  });

  test("refuses a port and a DNS name that are taken, also by a create under way", async () => {
    const race = await Promise.allSettled([
      sessions.create(params({ port: 9000 })),
      sessions.create(params({ port: 9000 })),
    ]);
    expect(race.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    await sessions.create(params({ dns_name: "web.example" }));
    await expect(sessions.create(params({ dns_name: "WEB.example" }))).rejects.toMatchObject({
      code: "DNS_NAME_TAKEN",
    });
    expect(await sessions.list()).toHaveLength(2);
  });

  test("makes nothing when it could not be started: no image set, image missing, wrong cgroup driver", async () => {
    image = null;
    await expect(sessions.create(params({ start: true }))).rejects.toMatchObject({ code: "IMAGE_NOT_SET" });
    image = "convocate:9";
    await expect(sessions.create(params({ start: true }))).rejects.toMatchObject({ code: "IMAGE_MISSING" });
    image = "convocate:1";
    docker.driver = "cgroupfs";
    await expect(sessions.create(params({ start: true }))).rejects.toMatchObject({
      code: "REFUSED",
      message: expect.stringContaining("native.cgroupdriver=systemd"),
    });
    expect(await sessions.list()).toEqual([]);
    expect(readdirSync(join(root, "home"))).toEqual([]);
    expect(docker.calls).toEqual([]);
  });

  test("says that it made the session when only the start failed", async () => {
    docker.beforeStart = () => Promise.reject(new ConvocateError("DOCKER_ERROR", "port is allocated"));
    await expect(sessions.create(params({ start: true }))).rejects.toMatchObject({
      code: "DOCKER_ERROR",
      message: expect.stringMatching(/was made but did not start: port is allocated/),
    });
    expect(await sessions.list()).toHaveLength(1);
  });
});

describe("admission", () => {
  test("sixteen starts at once never pass the cap; what is refused is not made, and its port is free", async () => {
    cores = 4;
    const race = await Promise.allSettled(
      Array.from({ length: 16 }, () => sessions.create(params({ start: true, port: -1, limits: { cpus: 0.9 } }))),
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
    const listed = await sessions.list();
    expect(listed).toHaveLength(4);
    expect(readdirSync(join(root, "home"))).toHaveLength(4);
    const stopped = await Promise.all(Array.from({ length: 16 }, () => sessions.create(params({ port: -1 }))));
    expect(new Set([...listed, ...stopped].map(({ port }) => port)).size).toBe(20);
  });

  test("one that is refused by a forced restart goes on as it was, and its own pledge does not count twice", async () => {
    cores = 1;
    const { id } = await sessions.create(params({ start: true, limits: { cpus: 0.9 } }));
    expect((await sessions.restart(id, true)).status.state).toBe("running");
    cores = 0.5;
    await expect(sessions.restart(id, true)).rejects.toMatchObject({ code: "ADMISSION_DENIED" });
    expect((await sessions.get(id)).status.state).toBe("running");
  });

  test("a start that fails gives back what it had reserved", async () => {
    cores = 1;
    docker.beforeStart = () => Promise.reject(new ConvocateError("DOCKER_ERROR", "no"));
    const limits = { cpus: 0.9 };
    await expect(sessions.create(params({ start: true, limits }))).rejects.toMatchObject({ code: "DOCKER_ERROR" });
    docker.beforeStart = async () => undefined;
    expect((await sessions.create(params({ start: true, limits }))).status.state).toBe("running");
  });

  test("a container that the kernel shows outside the slice is removed again, and the start refused", async () => {
    docker.beforeStart = async () => void Array.from({ length: 2000 }, (_, pid) => cgroups.escaped.add(pid));
    const { id } = await sessions.create(params());
    await expect(sessions.restart(id, false)).rejects.toMatchObject({ code: "REFUSED" });
    expect(docker.containers.size).toBe(0);
  });
});

describe("restart", () => {
  test("makes a new container of the image that is current now, which goes on with the conversation", async () => {
    const { id } = await sessions.create(params({ start: true }));
    await sessions.kill(id);
    image = "convocate:2";
    const again = await sessions.restart(id, false);
    expect(again).toMatchObject({ image: "convocate:2", status: { state: "running" } });
    expect(docker.containers.get(containerName(id))?.spec.Env).toContain("CONVOCATE_RESUME=1");
  });

  test("refuses a running one unless forced, which stops it first", async () => {
    const { id } = await sessions.create(params({ start: true }));
    await expect(sessions.restart(id, false)).rejects.toMatchObject({ code: "SESSION_RUNNING" });
    docker.calls.length = 0;
    await sessions.restart(id, true);
    expect(docker.calls.map((call) => call.split(" ")[0])).toEqual(["stop", "remove", "create", "start"]);
  });

  test("costs no running session when the new container could not be made", async () => {
    const { id } = await sessions.create(params({ start: true }));
    image = "convocate:9";
    await expect(sessions.restart(id, true)).rejects.toMatchObject({ code: "IMAGE_MISSING" });
    expect((await sessions.get(id)).status.state).toBe("running");
  });

  test("is refused while another operation holds the session, which every list shows as locked", async () => {
    const { id } = await sessions.create(params());
    const other = await sessions.create(params({ name: "other" }));
    const gate = Promise.withResolvers<void>();
    docker.beforeStart = () => gate.promise;
    const first = sessions.restart(id, false);
    const listed = new Map((await sessions.list()).map((one) => [one.id, one.status]));
    expect(listed.get(id)).toMatchObject({ state: "locked", operation: "restart" });
    expect(listed.get(other.id)).toMatchObject({ state: "stopped" });
    await expect(sessions.kill(id)).rejects.toMatchObject({ code: "SESSION_LOCKED" });
    gate.resolve();
    expect((await first).status.state).toBe("running");
  });
});

describe("kill, background and delete", () => {
  test("kill stops it and keeps the container with its exit code; again does nothing", async () => {
    const { id } = await sessions.create(params({ start: true }));
    expect((await sessions.kill(id)).status).toEqual({ state: "stopped", exit_code: 0, oom_killed: false });
    expect((await sessions.kill(id)).status.state).toBe("stopped");
    expect(docker.containers.has(containerName(id))).toBe(true);
  });

  test("background answers with how many clients it detached", async () => {
    const { id } = await sessions.create(params({ start: true }));
    expect(await sessions.background(id)).toBe(3);
    expect((await sessions.get(id)).status.state).toBe("running");
  });

  test("delete takes container, home and metadata, and its port is free again", async () => {
    const { id } = await sessions.create(params({ start: true, port: 7000 }));
    await sessions.delete(id);
    expect(docker.containers.size).toBe(0);
    expect(existsSync(homeOf(id))).toBe(false);
    expect(readdirSync(join(root, "sessions"))).toEqual([]);
    expect(emitted).toContain(`container.deleted ${id}`);
    expect((await sessions.create(params({ port: 7000 }))).port).toBe(7000);
  });

  test("a delete that Docker refuses leaves the whole session", async () => {
    const { id } = await sessions.create(params());
    docker.down = new ConvocateError("DOCKER_ERROR", "Docker does not answer");
    await expect(sessions.delete(id)).rejects.toMatchObject({ code: "DOCKER_ERROR" });
    expect(existsSync(homeOf(id))).toBe(true);
    docker.down = null;
    expect(await sessions.list()).toHaveLength(1);
  });

  test("everything about a session that is not there is SESSION_NOT_FOUND", async () => {
    const id = newSessionId();
    for (const call of [
      () => sessions.get(id),
      () => sessions.restart(id, true),
      () => sessions.kill(id),
      () => sessions.background(id),
      () => sessions.delete(id),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    }
    expect(docker.calls).toEqual([]);
  });
});

describe("list", () => {
  test("shows how a session ended, and a Docker that does not answer as an error, not as stopped", async () => {
    const { id } = await sessions.create(params({ start: true }));
    docker.die(containerName(id), 137, true);
    expect((await sessions.list())[0]?.status).toEqual({ state: "stopped", exit_code: 137, oom_killed: true });
    docker.down = new ConvocateError("DOCKER_ERROR", "Docker does not answer");
    expect((await sessions.list())[0]?.status).toEqual({ state: "error", message: "Docker does not answer" });
    expect((await sessions.get(id)).status.state).toBe("error");
  });

  test("finds running sessions again after a restart of the agent", async () => {
    const { id } = await sessions.create(params({ start: true }));
    await open();
    expect(await sessions.list()).toMatchObject([{ id, status: { state: "running" } }]);
  });
});
