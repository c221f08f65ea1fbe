import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPool, type ConnectionPool } from "../../infra/connection/index.js";
import { findImage } from "../../infra/host/image.js";
import { upload } from "../../infra/host/upload.js";
import { parseInventory } from "../../infra/inventory/index.js";
import { imagePush } from "../../infra/resources/image-push/lifecycle.js";
import { THIS_MACHINE, type LifecycleContext } from "../../infra/resources/lifecycle.js";
import { acceptanceCluster, command, type TestCluster } from "../support/cluster.js";

// Small images of random bytes, so that what is sent can be told by its size.

const MB = 1_000_000;
const tag = (version: string): string => `convocate:t-push-${process.pid}-${version}`;
let cluster: TestCluster;
let folder: string;
let pool: ConnectionPool;
let said: string[];
let context: LifecycleContext;
let current: string;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  current = await cluster.lab.sh("agent-2", "cat /etc/convocate-agent/current-image");
  folder = await mkdtemp(join(tmpdir(), "convocate-push-"));
  pool = createPool();
  const inventory = parseInventory(await readFile(cluster.inventory, "utf8"), cluster.inventory);
  const agent = inventory.agents.find(({ name }) => name === "agent-2");
  if (!agent) throw new Error("no agent-2");
  const connect = (name: string, signal?: AbortSignal) =>
    pool.connect(name === THIS_MACHINE ? { via: "local", name } : agent.host, signal);
  said = [];
  context = { pool: { connect }, signal: new AbortController().signal, progress: (line) => void said.push(line) };
}, 1_200_000);
afterAll(async () => {
  await cluster.lab.sh(
    "agent-2",
    `printf %s '${current}' >/etc/convocate-agent/current-image
     docker image rm -f ${tag("1")} ${tag("2")} >/dev/null 2>&1 || :`,
  );
  await command(["docker", "image", "rm", "-f", tag("1"), tag("2")]);
  await pool[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
  await cluster.close();
}, 120_000);

/** An image of one layer of random bytes on another, or on nothing. */
async function build(version: string, from: string, bytes: number) {
  await writeFile(join(folder, "content"), randomBytes(bytes));
  await writeFile(join(folder, "Dockerfile"), `FROM ${from}\nCOPY content /content-${version}\n`);
  const built = await command(["docker", "build", "-q", "-t", tag(version), folder]);
  if (built.exitCode !== 0) throw new Error(built.stderr);
  const here = await context.pool.connect(THIS_MACHINE);
  const found = await findImage(here, tag(version), { root: false });
  if (!found) throw new Error(`${tag(version)} was not built`);
  return imagePush.inputs.parse({ host: "agent-2", tag: tag(version), imageId: found.imageId, layers: found.layers });
}
const sentMb = (): number => Number(/, (\d+) MB/.exec(said.find((line) => line.startsWith("sending")) ?? "")?.[1]);
const currentImage = async (): Promise<string> =>
  (await cluster.lab.sh("agent-2", "cat /etc/convocate-agent/current-image")).trim();

test("an image is sent whole the first time, then only the layers that the agent lacks, and nothing when it has them", async () => {
  const first = await build("1", "scratch", 8 * MB);
  const { state } = await imagePush.create(first, context);
  expect(imagePush.diff(state, first)).toEqual([]);
  expect(sentMb()).toBeGreaterThanOrEqual(8);
  expect(await currentImage()).toBe(tag("1"));

  said.length = 0;
  const second = await build("2", tag("1"), 1 * MB);
  const next = await imagePush.update(state, second, context);
  expect(imagePush.diff(next, second)).toEqual([]);
  expect(said.join("\n")).toContain(`sending 1 of 2 layers of ${tag("2")}`);
  expect(sentMb()).toBeLessThanOrEqual(2);
  expect(await currentImage()).toBe(tag("2"));

  said.length = 0;
  await cluster.lab.sh("agent-2", `docker tag ${tag("2")} t-push-kept; docker rmi ${tag("2")} >/dev/null`);
  await imagePush.create(second, context);
  expect(said.filter((line) => line.startsWith("sending"))).toEqual([]);
  await cluster.lab.sh(
    "agent-2",
    "docker rmi t-push-kept >/dev/null; ! ls /var/lib/convocate-agent/*incoming* 2>/dev/null",
  );
}, 300_000);

test("an image that cannot be loaded is not called current, nothing of it is left behind, and run again it completes", async () => {
  const before = await currentImage();
  const second = await build("2", "scratch", 1 * MB);
  // Arrived and verified, and then it cannot be unpacked.
  await cluster.lab.sh("agent-2", "mv /usr/bin/zstd /usr/bin/zstd.t");
  try {
    await expect(imagePush.create(second, context)).rejects.toMatchObject({ code: "COMMAND_FAILED" });
  } finally {
    await cluster.lab.sh("agent-2", "mv /usr/bin/zstd.t /usr/bin/zstd");
  }
  expect(await currentImage()).toBe(before);
  await cluster.lab.sh("agent-2", "! ls -A /var/lib/convocate-agent | grep incoming");
  await imagePush.create(second, context);
  expect(await currentImage()).toBe(tag("2"));
}, 300_000);

test("a file that arrives with one bit flipped, or half of it, is thrown away; sent again it is there", async () => {
  const { signal } = context;
  const connection = await context.pool.connect("agent-2");
  const content = randomBytes(2 * MB);
  const from = join(folder, "sent");
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
