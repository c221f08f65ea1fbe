import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { RealDocker } from "../../runtime/agent/containers/docker.js";
import {
  SESSION_LABEL,
  type ContainerEvent,
  type ContainerSpec,
  type DockerEngine,
  type ImageEvent,
} from "../../runtime/agent/containers/engine.js";
import { containerName } from "../../runtime/agent/containers/spec.js";
import { ConvocateError, newSessionId } from "../../runtime/domain/index.js";
import { eventually } from "../support/eventually.js";
import { FakeDocker } from "./fake-docker.js";
import { FakeTty } from "./fake-tty.js";

const IMAGE = "t-agent-busybox:1";
const BUSYBOX = "/bin/busybox";
/** For a shell: it ends neither by itself nor on SIGTERM. */
const STOPPED = "kill -STOP $$";

/** An image of one file: no registry is needed, only Debian's busybox-static. */
function makeImage(): void {
  const root = mkdtempSync(join(tmpdir(), "t-agent-image-"));
  try {
    mkdirSync(join(root, "bin"));
    copyFileSync(BUSYBOX, join(root, "bin/busybox"));
    chmodSync(join(root, "bin/busybox"), 0o755);
    symlinkSync("busybox", join(root, "bin/timeout"));
    const tar = execFileSync("tar", ["-C", root, "-c", "."], { maxBuffer: 64 * 1024 * 1024 });
    execFileSync("docker", ["import", "-", IMAGE], { input: tar });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const busybox = (...argv: string[]): string[] => ["/bin/busybox", ...argv];
const asRoot = (...argv: string[]): { argv: string[]; user: string; env: Record<string, string> } => ({
  argv,
  user: "0:0",
  env: { GREETING: "hi" },
});

const engines: [string, () => DockerEngine][] = [["fake", makeFake]];
if (existsSync(BUSYBOX)) engines.push(["real", () => new RealDocker()]);
else console.log("skipped the real engine: /bin/busybox is missing (apt-get install busybox-static)");

function makeFake(): FakeDocker {
  const fake = new FakeDocker();
  fake.images.add(IMAGE);
  fake.onRun = ({ argv, env }) => {
    if (argv.at(-1) === STOPPED) throw new ConvocateError("TIMEOUT", "it did not end in time");
    return argv[1] === "false" ? { exitCode: 1, output: "" } : { exitCode: 0, output: `${env["GREETING"] ?? ""}\n` };
  };
  return fake;
}

describe.each(engines)("Docker, %s", (kind, make) => {
  const docker = make();
  const session = newSessionId();
  const name = containerName(session);
  const spec: ContainerSpec = {
    name,
    Image: IMAGE,
    Cmd: busybox("sh", "-c", 'trap "exit 0" TERM; echo one; echo two >&2; echo three; while :; do sleep 0.1; done'),
    Labels: { [SESSION_LABEL]: session },
    HostConfig: { NanoCpus: 250_000_000, Memory: 64 * 1024 * 1024 },
  };
  const heard: ContainerEvent[] = [];
  const stop = new AbortController();
  let listening: Promise<unknown> = Promise.resolve();

  const actions = (): string[] => heard.filter((event) => event.session === session).map((event) => event.action);
  const hears = (action: string): Promise<true> => eventually(`${action} to be told`, () => actions().includes(action));

  beforeAll(async () => {
    if (kind === "real") makeImage();
    const open = Promise.withResolvers<void>();
    listening = (async () => {
      for await (const event of docker.events(stop.signal, open.resolve)) heard.push(event);
    })().catch((error: unknown) => error);
    await open.promise;
  }, 60_000);

  afterAll(async () => {
    stop.abort();
    await listening;
    await docker.remove(name);
    if (kind === "real") execFileSync("docker", ["image", "rm", "-f", IMAGE]);
  }, 60_000);

  test("answers a ping", async () => {
    await docker.ping(10_000);
  });

  test("says which cgroup driver it has and which images", async () => {
    expect(["systemd", "cgroupfs"]).toContain(await docker.cgroupDriver());
    expect(await docker.hasImage(IMAGE)).toBe(true);
    expect(await docker.hasImage("t-agent-nothing:0")).toBe(false);
  });

  test("makes no container of an image that is not there", async () => {
    const missing = { ...spec, name: `${name}-missing`, Image: "t-agent-nothing:0" };
    await expect(docker.create(missing)).rejects.toMatchObject({ code: "DOCKER_ERROR" });
  });

  test("lists the tags of convocate, and tells of one that is given and that something changed when it is taken", async () => {
    const image = `convocate:t-agent-${session}`;
    const told: ImageEvent[] = [];
    const enough = new AbortController();
    const open = Promise.withResolvers<void>();
    const following = (async () => {
      for await (const event of docker.imageEvents(enough.signal, open.resolve)) told.push(event);
    })().catch((error: unknown) => error);
    const changed = (count: number): Promise<true> =>
      eventually(`${count} changes to be told`, () => told.length >= count);
    const given = (): ImageEvent | undefined => told.find((event) => event.given?.image === image);
    await open.promise;
    const before = Date.now();
    try {
      if (docker instanceof FakeDocker) docker.tag(image);
      else execFileSync("docker", ["tag", IMAGE, image]);
      expect((await eventually("the tag to be told", given)).given?.id).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(given()?.atMs).toBeGreaterThanOrEqual(before - 1);
      expect(await docker.sessionImages()).toContainEqual(given()?.given);
      expect((await docker.sessionImages()).every((one) => one.image.startsWith("convocate:"))).toBe(true);
    } finally {
      const soFar = told.length;
      if (docker instanceof FakeDocker) docker.untag(image);
      else execFileSync("docker", ["image", "rm", image]);
      await changed(soFar + 1);
      enough.abort();
      await following;
    }
    expect((await docker.sessionImages()).map((one) => one.image)).not.toContain(image);
  });

  test("knows nothing of a container that is not there, and stops and removes it all the same", async () => {
    expect(await docker.inspect(name)).toBeNull();
    await docker.stop(name, 1);
    await docker.remove(name);
    await expect(docker.run(name, asRoot(...busybox("true")), 5000)).rejects.toMatchObject({
      code: "SESSION_NOT_RUNNING",
    });
  });

  test("lists and inspects one that was made and never started as not running, with no times", async () => {
    const id = await docker.create(spec);
    expect(await docker.inspect(name)).toMatchObject({ id, running: false, startedAt: null, finishedAt: null });
    expect(await docker.list()).toContainEqual({ id, session, image: IMAGE, running: false });
    expect(await docker.create(spec)).toBeNull();
    await expect(docker.openTty(name, asRoot(...busybox("sh")))).rejects.toMatchObject({ code: "SESSION_NOT_RUNNING" });
  });

  test("says what every running container may use, and nothing of one that does not run", async () => {
    expect((await docker.running()).map((one) => one.name)).not.toContain(name);
    await docker.start(name);
    expect(await docker.running()).toContainEqual({
      name,
      cgroupParent: "",
      cpus: 0.25,
      memoryBytes: 64 * 1024 * 1024,
    });
    await docker.stop(name, 5);
    expect((await docker.inspect(name))?.pid).toBe(0);
    heard.length = 0;
  });

  test("tells of a start, and runs processes in it", async () => {
    await docker.start(name);
    await hears("start");
    expect(await docker.inspect(name)).toMatchObject({ running: true, startedAt: expect.stringMatching(/^20.*Z$/) });
    expect((await docker.inspect(name))?.pid).toBeGreaterThan(0);
    const said = await docker.run(name, asRoot(...busybox("sh", "-c", 'echo "$GREETING"')), 5000);
    expect(said).toEqual({ exitCode: 0, output: "hi\n" });
    expect((await docker.run(name, asRoot(...busybox("false")), 5000)).exitCode).toBe(1);
  });

  test("ends a process that does not end in time: nothing of it stays in the container", async () => {
    const processes = async (): Promise<string> => (await docker.run(name, asRoot(...busybox("ps")), 5000)).output;
    await expect(docker.run(name, asRoot(...busybox("sh", "-c", STOPPED)), 1000)).rejects.toMatchObject({
      code: "TIMEOUT",
    });
    await eventually("it to be gone", async () => !(await processes()).includes("STOP"), {
      everyMs: 500,
      timeoutMs: 9_000,
    });
    expect((await docker.inspect(name))?.running).toBe(true);
  });

  test("opens a TTY, and ends its stream when its process ends", async () => {
    const tty = await docker.openTty(name, asRoot(...busybox("sh", "-c", "read line; echo got $line; exit 7")));
    const state = await tty.state();
    expect(state).toMatchObject({ running: true });
    tty.stream.write("word\n");
    if (tty instanceof FakeTty) {
      tty.show("got word\r\n");
      tty.end(7);
    }
    let output = "";
    for await (const chunk of tty.stream as AsyncIterable<Buffer>) output += chunk.toString();
    expect(output).toContain("got word");
    await eventually("its process to end", async () => !(await tty.state())?.running);
    expect(await tty.state()).toMatchObject({ running: false, exitCode: 7 });
    tty.stream.destroy();
    if (!tty.stream.closed) await once(tty.stream, "close");
  });

  test("tells that it was stopped: first the signal, then the end with its exit code", async () => {
    const ended = (): number => actions().filter((action) => action === "die").length;
    const before = ended();
    await docker.stop(name, 5);
    await eventually("its end to be told", () => ended() !== before);
    expect(
      actions()
        .slice(-3)
        .filter((action) => action !== "stop"),
    ).toEqual(expect.arrayContaining(["kill", "die"]));
    expect(actions().lastIndexOf("kill")).toBeLessThan(actions().lastIndexOf("die"));
    expect(heard.findLast((event) => event.action === "kill" && event.session === session)?.signal).toBe("15");
    expect(heard.findLast((event) => event.action === "die" && event.session === session)?.exitCode).toBe(0);
    expect(await docker.inspect(name)).toMatchObject({ running: false, exitCode: 0, oomKilled: false });
    await docker.stop(name, 5);
  });

  test("tells of a removal", async () => {
    await docker.remove(name);
    await hears("destroy");
    expect(await docker.inspect(name)).toBeNull();
  });
});
