import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { eventually } from "../../../test/support/eventually.js";
import { FakeCgroups, roomForAll } from "../../../test/agent/fake-cgroups.js";
import { FakeDocker } from "../../../test/agent/fake-docker.js";
import { AgentId, AgentSettings, ConvocateError, newSessionId, type SessionId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { systemClock, type Clock } from "../clock.js";
import { Containers } from "../containers/containers.js";
import { SESSION_LABEL } from "../containers/engine.js";
import { containerName } from "../containers/spec.js";
import { Homes } from "../sessions/homes.js";
import { DockerWatch } from "./docker-watch.js";
import { Spool } from "./spool.js";

let root: string;
let docker: FakeDocker;
let spool: Spool;
let watch: DockerWatch;
let containers: Containers;
let cgroups: FakeCgroups;
let id: SessionId;
let name: string;

function startWatch(clock: Clock = systemClock): void {
  spool = new Spool({
    path: join(root, "spool.db"),
    agentId: AgentId.parse("abcd1234"),
    clock: systemClock,
    log: silentLog,
  });
  const settings = AgentSettings.parse({ name: "a", home: root });
  const homes = new Homes(root, settings);
  cgroups = new FakeCgroups();
  containers = new Containers({
    docker,
    settings: () => settings,
    homes,
    currentImage: () => null,
    admission: roomForAll,
    cgroups,
  });
  watch = new DockerWatch({ docker, containers, spool, clock, log: silentLog });
  watch.start();
}

async function stopWatch(): Promise<void> {
  await watch[Symbol.asyncDispose]();
  spool.close();
}

async function listening(): Promise<void> {
  await eventually("the watch to listen", () => docker.listeners > 0);
  // The comparison that follows opening.
  await systemClock.sleep(30);
}

/** What was reported, once it is that many. */
async function reported(count: number): Promise<string[]> {
  const all = (): string[] =>
    spool.after(0, 100).map(({ type, data }) => {
      if (!("exit_code" in data)) return type;
      return `${type} ${JSON.stringify(data["exit_code"])}${data["oom_killed"] ? " oom" : ""}`;
    });
  await eventually(`${count} events`, () => all().length >= count);
  await systemClock.sleep(30);
  return all();
}

async function makeContainer(): Promise<void> {
  await docker.create({ name, Image: "convocate:1", Labels: { [SESSION_LABEL]: id } });
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "convocate-watch-"));
  docker = new FakeDocker();
  docker.images.add("convocate:1");
  id = newSessionId();
  name = containerName(id);
  startWatch();
  await listening();
});
afterEach(async () => {
  await stopWatch();
  rmSync(root, { recursive: true });
});

describe("DockerWatch", () => {
  test("tells a stop from an end of its own, and an end with 0 from one with another code", async () => {
    await makeContainer();
    await docker.start(name);
    await docker.stop(name);
    await docker.start(name);
    docker.die(name, 137);
    await docker.start(name);
    docker.die(name, 0);
    expect(await reported(6)).toEqual([
      "container.started",
      "container.stopped 0",
      "container.started",
      "container.died 137",
      "container.started",
      "container.stopped 0",
    ]);
    expect(watch.running).toBe(0);
  });

  test("tells nothing of an end before the run that goes on, when its event comes late", async () => {
    await makeContainer();
    await docker.start(name);
    expect(await reported(1)).toEqual(["container.started"]);
    docker.lateEnd(name, 9, Date.now() - 60_000);
    await systemClock.sleep(100);
    await docker.stop(name);
    expect(await reported(2)).toEqual(["container.started", "container.stopped 0"]);
  });

  test("tells of what happens after the host's clock was set back, also to what ran before", async () => {
    await makeContainer();
    await docker.start(name);
    expect(await reported(1)).toEqual(["container.started"]);
    docker.setClock(-3_600_000);
    docker.die(name, 137);
    expect(await reported(2)).toEqual(["container.started", "container.died 137"]);
    await docker.start(name);
    docker.oom(name);
    expect((await reported(4)).slice(2)).toEqual(["container.started", "container.oom"]);
  });

  test("tells of the kernel's kill before the end that it caused", async () => {
    await makeContainer();
    await docker.start(name);
    await reported(1);
    docker.die(name, 137, true);
    expect(await reported(3)).toEqual(["container.started", "container.oom", "container.died 137 oom"]);
  });

  test("tells of a kill in one that goes on once in a while only, and every list counts it from then on", async () => {
    await makeContainer();
    await docker.start(name);
    await reported(1);
    docker.oom(name);
    expect(await reported(2)).toEqual(["container.started", "container.oom"]);
    expect((await containers.state(id))?.oomKills).toBe(1);
    cgroups.kills.set(docker.containers.get(name)!.state.id, 7);
    expect((await containers.all()).states.get(id)?.oomKills).toBe(7);
    docker.oom(name);
    docker.oom(name);
    docker.die(name, 1);
    expect(await reported(3)).toEqual(["container.started", "container.oom", "container.died 1"]);
    expect((await containers.state(id))?.oomKills).toBeUndefined();
  });

  test("leaves making and removing to the operations", async () => {
    await makeContainer();
    await docker.start(name);
    await docker.stop(name);
    await docker.remove(name);
    await makeContainer();
    await docker.start(name);
    expect(await reported(3)).toEqual(["container.started", "container.stopped 0", "container.started"]);
    expect(watch.running).toBe(1);
  });

  test("after a restart of the agent reports what happened meanwhile, once, and nothing again", async () => {
    await makeContainer();
    await docker.start(name);
    expect(await reported(1)).toEqual(["container.started"]);
    await stopWatch();
    docker.die(name, 137);
    startWatch();
    expect(await reported(2)).toEqual(["container.started", "container.died 137"]);
    await stopWatch();
    startWatch();
    await listening();
    expect(await reported(2)).toHaveLength(2);
  });

  test("after dockerd was away compares: a new run is an end and a start", async () => {
    await makeContainer();
    await docker.start(name);
    await reported(1);
    docker.down = new ConvocateError("DOCKER_ERROR", "Docker does not answer");
    docker.dropListeners();
    await systemClock.sleep(50);
    docker.die(name, 1);
    docker.down = null;
    await docker.start(name);
    expect(await reported(3)).toEqual(["container.started", "container.died null", "container.started"]);
    docker.die(name, 2);
    expect((await reported(4)).at(-1)).toBe("container.died 2");
  });

  test("one container that Docker cannot tell of keeps no other's events back, and is compared once Docker can", async () => {
    await makeContainer();
    await docker.start(name);
    expect(await reported(1)).toEqual(["container.started"]);
    await stopWatch();
    const other = newSessionId();
    await docker.create({ name: containerName(other), Image: "convocate:1", Labels: { [SESSION_LABEL]: other } });
    docker.die(name, 3);
    docker.beforeInspect = async (asked) => {
      if (asked === name) throw new ConvocateError("DOCKER_ERROR", "RWLayer is unexpectedly nil");
    };
    startWatch({ ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 100), signal) });
    await listening();
    await docker.start(containerName(other));
    expect(await reported(2)).toEqual(["container.started", "container.started"]);
    docker.beforeInspect = async () => undefined;
    expect((await reported(3)).at(-1)).toBe("container.died 3");
  });

  test("reports a session that runs when the spool is new, and none that is stopped", async () => {
    await stopWatch();
    rmSync(join(root, "spool.db"));
    await makeContainer();
    await docker.start(name);
    const other = newSessionId();
    await docker.create({ name: containerName(other), Image: "convocate:1", Labels: { [SESSION_LABEL]: other } });
    startWatch();
    expect(await reported(1)).toEqual(["container.started"]);
  });
});
