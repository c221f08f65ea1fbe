import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { createHash, randomBytes } from "node:crypto";
import { build } from "esbuild";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { exportImage } from "../../infra/host/image-export.js";
import { loadImage } from "../../infra/host/image-load.js";
import { upload } from "../../infra/host/upload.js";
import { imagePush } from "../../infra/resources/image-push/lifecycle.js";
import { acceptanceCluster, command, ROOT, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { startProxy } from "../support/proxy.js";
import { MB, Pushing, type PushInputs } from "../support/pushing.js";

// Small images of random bytes, so that what is sent can be told by its size.

let cluster: TestCluster;
let push: Pushing;
let first: PushInputs;
let second: PushInputs;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  push = await Pushing.to(cluster, "agent-2");
  first = await push.build("1", "scratch", 8 * MB);
  second = await push.build("2", push.tag("1"), 1 * MB);
}, 1_200_000);
beforeEach(() => void (push.said.length = 0));
afterAll(async () => {
  await push[Symbol.asyncDispose]();
  await cluster.close();
}, 120_000);

const sending = (): string[] => push.said.filter((line) => line.startsWith("sending"));
const sentMb = (): number => Number(/of ([\d.]+) MB/.exec(sending()[0] ?? "")?.[1]);

test("an image is sent whole the first time, then only the layers that the agent lacks, and nothing when it has them", async () => {
  const context = push.context();
  const { state } = await imagePush.create(first, context);
  expect(imagePush.diff(state, first)).toEqual([]);
  expect(sentMb()).toBeGreaterThanOrEqual(8);
  expect(await push.current()).toBe(push.tag("1"));

  push.said.length = 0;
  const next = await imagePush.update(state, second, context);
  expect(imagePush.diff(next, second)).toEqual([]);
  expect(sending()[0]).toMatch(new RegExp(`^sending 0.0 of 1.0 MB: 1 of 2 layers of ${push.tag("2")}$`));
  expect(await push.current()).toBe(push.tag("2"));

  push.said.length = 0;
  await cluster.lab.sh("agent-2", `docker tag ${push.tag("2")} t-push-kept; docker rmi ${push.tag("2")} >/dev/null`);
  await imagePush.create(second, context);
  expect(sending()).toEqual([]);
  await cluster.lab.sh("agent-2", "docker rmi t-push-kept >/dev/null");
  expect(await push.left()).toBe("");
}, 300_000);

test("a push that is cut at 1, 50 or 99 % names nothing and leaves nothing; run again it completes", async () => {
  await push.forget("1", "2");
  const before = await push.current();
  const { bytes } = await exportImage(push.tag("1"), (await push.here("1"))!, 0, new AbortController().signal);
  await using proxy = await startProxy(() => ({ host: push.address.address, port: push.address.port }));
  for (const share of [0.01, 0.5, 0.99]) {
    proxy.cutAfterClientBytes(Math.round(bytes * share));
    const cut = imagePush.create(first, push.context({ address: "127.0.0.1", port: proxy.port }));
    await expect(cut).rejects.toMatchObject({ code: "CONNECTION_LOST" });
    await eventually("nothing is left", async () => (await push.left()) === "");
    expect(await push.tags()).toEqual([]);
    expect(await push.current()).toBe(before);
  }
  await imagePush.create(first, push.context({ address: "127.0.0.1", port: proxy.port }));
  expect(await push.current()).toBe(push.tag("1"));
}, 300_000);

test("a push whose process is killed with SIGKILL at 1, 50 or 99 % leaves nothing on either machine", async () => {
  await push.forget("1", "2");
  const before = await push.current();
  const { bytes } = await exportImage(push.tag("1"), (await push.here("1"))!, 0, new AbortController().signal);
  await using proxy = await startProxy(() => ({ host: push.address.address, port: push.address.port }));
  const program = join(ROOT, `dist/push-main-${process.pid}.mjs`);
  const require = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
  const names = "const __filename = import.meta.filename; const __dirname = import.meta.dirname;";
  await build({
    entryPoints: [join(ROOT, "test/support/push-main.ts")],
    outfile: program,
    ...{ bundle: true, platform: "node", target: "node24", format: "esm", external: ["cpu-features", "*.node"] },
    banner: { js: `${require} ${names}` },
  });
  try {
    for (const share of [0.01, 0.5, 0.99]) {
      const from = proxy.clientBytes;
      const address = JSON.stringify({ ...push.address, address: "127.0.0.1", port: proxy.port });
      const pusher = spawn(process.execPath, [program, address, push.tag("1")], { stdio: "ignore" });
      const ended = once(pusher, "exit");
      while (pusher.exitCode === null && proxy.clientBytes - from < bytes * share) await sleep(1);
      expect(pusher.exitCode).toBe(null);
      pusher.kill("SIGKILL");
      await ended;
      await eventually("nothing is left", async () => (await push.left()) === "");
      expect(await push.current()).toBe(before);
    }
  } finally {
    await rm(program);
  }
  await imagePush.create(first, push.context());
  expect(await push.current()).toBe(push.tag("1"));
}, 300_000);

test("an image that arrives with one bit flipped, or cannot be loaded, is thrown away", async () => {
  await push.forget("1", "2");
  const before = await push.current();
  const { signal, pool } = push.context();
  const packed = await exportImage(push.tag("1"), (await push.here("1"))!, 0, signal);
  const flipped = await buffer(packed.read());
  flipped[4 * MB] = (flipped[4 * MB] ?? 0) ^ 1;
  const damaged = { ...packed, read: () => Readable.from([flipped]) };
  const connection = await pool.connect("agent-2");
  await expect(loadImage(connection, damaged, { sent: () => undefined, signal })).rejects.toMatchObject({
    code: "IO_ERROR",
    message: expect.stringMatching(/arrived with SHA-256 [0-9a-f]{64} instead of .* run the same again/),
  });
  // Arrived and verified, and then it cannot be unpacked.
  await cluster.lab.sh("agent-2", "mv /usr/bin/zstd /usr/bin/zstd.t");
  try {
    await expect(imagePush.create(first, push.context())).rejects.toMatchObject({ code: "DOCKER_ERROR" });
  } finally {
    await cluster.lab.sh("agent-2", "mv /usr/bin/zstd.t /usr/bin/zstd");
  }
  expect(await push.tags()).toEqual([]);
  expect(await push.current()).toBe(before);
  expect(await push.left()).toBe("");
}, 300_000);

test("an agent whose disk is too small is told so before anything is sent", async () => {
  await push.forget("1", "2");
  await cluster.lab.sh("agent-2", "mount -t tmpfs -o size=2m none /var/lib/convocate-agent/incoming");
  try {
    await expect(imagePush.create(first, push.context())).rejects.toMatchObject({
      code: "DISK_FULL",
      message: expect.stringMatching(
        /^agent-2: \S+ needs 9 MB on the disk of \S+incoming, 3 MB are free; make room there/,
      ),
    });
  } finally {
    await cluster.lab.sh("agent-2", "umount /var/lib/convocate-agent/incoming");
  }
  expect(sending()).toEqual([]);
  expect(await push.tags()).toEqual([]);
}, 120_000);

test("a disk that fills while an image arrives is told, and has its room back", async () => {
  await push.forget("1", "2");
  const before = await push.current();
  const { signal, pool } = push.context();
  const packed = await exportImage(push.tag("1"), (await push.here("1"))!, 0, signal);
  const incoming = "/var/lib/convocate-agent/incoming";
  const read = async function* (): AsyncGenerator<Buffer> {
    const bytes = await buffer(packed.read());
    yield bytes.subarray(0, 4 * MB);
    await cluster.lab.sh("agent-2", `dd if=/dev/zero of=${incoming}/other bs=64k 2>/dev/null || :`);
    yield bytes.subarray(4 * MB);
  };
  await cluster.lab.sh("agent-2", `mount -t tmpfs -o size=20m none ${incoming}`);
  try {
    const load = loadImage(
      await pool.connect("agent-2"),
      { ...packed, read: () => Readable.from(read()) },
      { sent: () => undefined, signal },
    );
    await expect(load).rejects.toMatchObject({
      code: "DISK_FULL",
      message: expect.stringContaining("make room there"),
    });
    await cluster.lab.sh("agent-2", `rm ${incoming}/other`);
    await eventually("its room is back", async () => {
      const used = await cluster.lab.sh("agent-2", `df --output=used -B1 ${incoming} | tail -n 1`);
      return Number(used) === 0;
    });
  } finally {
    await cluster.lab.sh("agent-2", `umount ${incoming}`);
  }
  expect(await push.tags()).toEqual([]);
  expect(await push.current()).toBe(before);
}, 120_000);

test("an image that was built for another processor is refused before anything is sent", async () => {
  const archive = `cd "$1"; tar -C /etc -cf layer.tar hostname; sum=$(sha256sum <layer.tar | cut -c 1-64)
    echo '{"architecture":"s390x","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:'$sum'"]}}' >config.json
    echo '[{"Config":"config.json","RepoTags":["'$2'"],"Layers":["layer.tar"]}]' >manifest.json
    tar -cf - manifest.json config.json layer.tar | docker load -q`;
  await command(["bash", "-euo", "pipefail", "-c", archive, "archive", push.folder, push.tag("other")]);
  await expect(
    imagePush.create(push.inputs("other", (await push.here("other"))!), push.context()),
  ).rejects.toMatchObject({
    code: "UNSUPPORTED_HOST",
    message: expect.stringMatching(
      /^agent-2: \S+ was built for s390x, this host is \S+; provision it from a machine like/,
    ),
  });
  expect(sending()).toEqual([]);
}, 120_000);

test("a push waits for whoever prunes, and what it brought is not pruned before it is the current one", async () => {
  await push.forget("1", "2");
  const lock = "/run/convocate-image.lock";
  await cluster.lab.sh("agent-2", `flock ${lock} sleep 3 >/dev/null 2>&1 & sleep 0.2`);
  const begun = imagePush.create(first, push.context());
  await eventually("it has been sent", async () => push.said.some((line) => line.startsWith("loading")));
  expect(await push.tags()).toEqual([]);
  await begun;
  await cluster.lab.sh("agent-2", "/etc/cron.daily/convocate-image-prune");
  expect(await push.tags()).toEqual([push.tag("1")]);
}, 120_000);

test("a file that arrives with one bit flipped, or half of it, is thrown away; sent again it is there", async () => {
  const { signal, pool } = push.context();
  const connection = await pool.connect("agent-2");
  const content = randomBytes(2 * MB);
  const from = join(push.folder, "sent");
  const file = { from, packed: "plain", to: "/root/t-push/file", mode: "0600" } as const;
  const sha256 = createHash("sha256").update(content).digest("hex");
  const there = (): Promise<string> => cluster.lab.sh("agent-2", "ls -A /root/t-push");
  const flipped = Buffer.from(content);
  flipped[MB] = (flipped[MB] ?? 0) ^ 1;
  for (const wrong of [flipped, content.subarray(0, MB)]) {
    await writeFile(from, wrong);
    await expect(upload(connection, { ...file, sha256 }, signal)).rejects.toMatchObject({
      code: "IO_ERROR",
      message: expect.stringContaining("run the same again"),
    });
    expect(await there()).toBe("");
  }
  await writeFile(from, content);
  await upload(connection, { ...file, sha256 }, signal);
  expect(await there()).toBe("file\n");
  await cluster.lab.sh("agent-2", "rm -r /root/t-push");
}, 120_000);
