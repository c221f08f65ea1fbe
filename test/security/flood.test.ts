import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { dial } from "../../runtime/protocol/ssh/client.js";
import type { ClientChannel, DialOptions } from "../../runtime/protocol/ssh/types.js";
import { keyFiles, tempDir } from "../support/keys.js";
import { ROOT } from "../support/cluster.js";
import { flood, memoryOf } from "./flood.js";

jest.setTimeout(120_000);

const MB = 1024 * 1024;
const program = join(ROOT, `.convocate/rpc-server-${process.pid}.mjs`);
let dir: ReturnType<typeof tempDir>;
let server: ChildProcess;
let door: DialOptions;

beforeAll(async () => {
  dir = tempDir();
  const hostKey = keyFiles(dir.path, "host", "agent").publicKey;
  const { privateKey } = keyFiles(dir.path, "client", "shell");
  mkdirSync(join(ROOT, ".convocate"), { recursive: true });
  execFileSync(join(ROOT, "node_modules/.bin/esbuild"), [
    join(ROOT, "test/security/rpc-server-main.ts"),
    "--bundle",
    "--platform=node",
    "--format=esm",
    "--packages=external",
    "--log-level=error",
    `--outfile=${program}`,
  ]);
  server = spawn(process.execPath, [program, dir.path], { stdio: ["ignore", "pipe", "inherit"] });
  const [port] = (await once(server.stdout!, "data")) as [Buffer];
  door = { host: "127.0.0.1", port: Number(port.toString()), privateKey, hostKey, timeoutMs: 30_000 };
});

afterAll(async () => {
  server.kill();
  if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
  rmSync(program);
  dir[Symbol.dispose]();
});

test("a line of 256 MB is refused while it comes, costs the server no memory and others no time", async () => {
  await flood(door, 16 * MB, async () => 0);
  const before = await memoryOf(server.pid!);
  const { answers, pings, mostBytes } = await flood(door, 256 * MB, () => memoryOf(server.pid!));
  expect(answers).toMatchObject([
    { ok: false, code: "LINE_TOO_LONG" },
    { id: 2, ok: true },
  ]);
  // What the collector has not come to yet; a busy machine lets it wait.
  expect(mostBytes - before).toBeLessThan(128 * MB);
  expect(pings.length).toBeGreaterThan(0);
});

test("channels beyond 128 on one connection are refused, and closing some makes room", async () => {
  const connection = await dial(door);
  try {
    const open: ClientChannel[] = [];
    while (open.length < 128) open.push(await connection.openSubsystem("convocate-agent-rpc"));
    await expect(connection.openSubsystem("convocate-agent-rpc")).rejects.toMatchObject({ code: "REFUSED" });
    const closing = open.slice(0, 5);
    for (const { stream } of closing) stream.resume().end();
    await Promise.all(closing.map((channel) => channel.closed));
    await connection.openSubsystem("convocate-agent-rpc");
  } finally {
    connection.close();
  }
});
