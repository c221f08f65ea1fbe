import { createServer, type AddressInfo } from "node:net";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { connectionContract } from "../../test/support/connection/contract.js";
import { dial, scanHostKey } from "./dial.js";
import { blobOf, fingerprintOf } from "./host-keys.js";
import { createPool } from "./pool.js";
import { makeKeys, startTestServer, type TestServer } from "../../test/support/connection/test-server.js";
import type { ConnectionPool } from "./types.js";

const keys = makeKeys(3);
const [hostKey, userKey, otherKey] = [keys[0]!, keys[1]!, keys[2]!];
let server: TestServer;
let pool: ConnectionPool;

beforeAll(async () => {
  server = await startTestServer(hostKey, userKey);
  pool = createPool();
});
afterAll(async () => {
  await pool[Symbol.asyncDispose]();
  await server.close();
  keys[Symbol.dispose]();
});

describe("this machine", () => {
  connectionContract(() => pool.connect({ via: "local", name: "here" }));
});

describe("a host over SSH", () => {
  connectionContract(() => pool.connect(server.host));

  test("one connection carries everything", () => {
    expect(server.seen.connections).toBe(1);
  });

  test("one machine by two names shares a connection, and each name is in its own errors", async () => {
    const before = server.seen.connections;
    const second = await pool.connect({ ...server.host, name: "second-name" });
    expect(second.host.name).toBe("second-name");
    await second.run(["true"]);
    expect(server.seen.connections).toBe(before);
  });

  test("a broken connection fails what runs on it and is made again for the next command", async () => {
    const connection = await pool.connect(server.host);
    const running = connection.run(["sleep", "30"]);
    setTimeout(() => server.breakConnections(), 200);
    await expect(running).rejects.toMatchObject({ code: "CONNECTION_LOST" });
    expect((await connection.run(["echo", "again"])).stdout).toBe("again\n");
  });

  test("another host key than the pinned is refused, with both fingerprints", async () => {
    const host = { ...server.host, hostKeys: [otherKey.publicKey] };
    await expect(pool.connect(host)).rejects.toMatchObject({
      code: "HOST_KEY_MISMATCH",
      message: expect.stringContaining(fingerprintOf(blobOf(hostKey.publicKey))),
    });
    await expect(pool.connect(host)).rejects.toThrow(fingerprintOf(blobOf(otherKey.publicKey)));
  });

  test("a pinned key of a type that the host no longer has is a mismatch too, with both fingerprints", async () => {
    const ecdsa =
      "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=";
    const refused = expect(dial({ ...server.host, hostKeys: [ecdsa] })).rejects;
    await refused.toMatchObject({ code: "HOST_KEY_MISMATCH", message: expect.stringContaining("ecdsa-sha2-nistp256") });
  });

  test("no pinned key at all lets nobody in", async () => {
    await expect(dial({ ...server.host, hostKeys: [] })).rejects.toMatchObject({ code: "HOST_KEY_MISMATCH" });
  });

  test("a key that the host does not know, an unreadable one and an encrypted one are AUTH_REJECTED, with user and file", async () => {
    const rejected = dial({ ...server.host, identityFile: otherKey.file });
    await expect(rejected).rejects.toMatchObject({
      code: "AUTH_REJECTED",
      message: expect.stringMatching(/root@test-host .*key-2 for root/),
    });
    await expect(dial({ ...server.host, identityFile: "/no/such/key" })).rejects.toMatchObject({
      code: "AUTH_REJECTED",
      message: expect.stringContaining("/no/such/key is not there"),
    });
  });

  test("a port where nobody listens is CONNECTION_REFUSED, one that never answers TIMEOUT, a name nobody has UNREACHABLE", async () => {
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const port = (silent.address() as AddressInfo).port;
    await expect(dial({ ...server.host, port }, undefined, 300)).rejects.toMatchObject({ code: "TIMEOUT" });
    await new Promise<void>((resolve) => silent.close(() => resolve()));
    await expect(dial({ ...server.host, port })).rejects.toMatchObject({ code: "CONNECTION_REFUSED" });
    await expect(dial({ ...server.host, address: "no-such-host.invalid" })).rejects.toMatchObject({
      code: "UNREACHABLE",
    });
  });

  test("the key that a host shows can be read without logging in", async () => {
    const at = { name: "new", address: "127.0.0.1", port: server.host.port, user: "admin" };
    const shown = await scanHostKey(at);
    expect(shown.line).toBe(hostKey.publicKey.split(" ").slice(0, 2).join(" "));
    expect(shown.fingerprint).toBe(fingerprintOf(blobOf(hostKey.publicKey)));
    await expect(scanHostKey({ ...at, port: 1 })).rejects.toMatchObject({
      code: "CONNECTION_REFUSED",
      message: expect.stringContaining("admin@new (127.0.0.1:1): nothing listens there"),
    });
  });

  test("a closed pool opens nothing", async () => {
    const own = createPool();
    await own.connect(server.host);
    await own[Symbol.asyncDispose]();
    await expect(own.connect(server.host)).rejects.toMatchObject({ code: "CONNECTION_LOST" });
  });
});

describe("sudo", () => {
  const directory = mkdtempSync(join(tmpdir(), "convocate-sudo-"));
  const path = process.env["PATH"] ?? "";
  afterAll(() => {
    process.env["PATH"] = path;
    rmSync(directory, { recursive: true, force: true });
  });
  const fakeSudo = (script: string): void => {
    writeFileSync(join(directory, "sudo"), `#!/bin/sh\n${script}\n`);
    chmodSync(join(directory, "sudo"), 0o755);
    process.env["PATH"] = `${directory}:${path}`;
  };

  test("a sudo that wants a password is told apart from a command that fails", async () => {
    fakeSudo('echo "sudo: a password is required" >&2; exit 1');
    await using own = createPool();
    const connection = await own.connect({ ...server.host, user: "admin" });
    await expect(connection.run(["false"], { allowFailure: true })).rejects.toMatchObject({
      code: "SUDO_NEEDS_PASSWORD",
      message: expect.stringContaining("sudo wants a password for admin"),
    });
    expect((await connection.run(["echo", "as admin"], { root: false })).stdout).toBe("as admin\n");
  });

  test("a command that fails under a sudo that works is its own failure", async () => {
    fakeSudo('shift 2; exec "$@"');
    await using own = createPool();
    const connection = await own.connect({ ...server.host, user: "admin" });
    expect((await connection.run(["false"], { allowFailure: true })).exitCode).toBe(1);
    await expect(connection.run(["no-such-program-here"])).rejects.toMatchObject({ code: "COMMAND_FAILED" });
  });
});
