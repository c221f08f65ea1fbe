import { once } from "node:events";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../../../test/support/eventually.js";
import ssh2 from "ssh2";
import { startProxy } from "../../../test/support/proxy.js";
import { silentLog } from "../log.js";
import { readFirstLine } from "../ndjson.js";
import { dial } from "./client.js";
import { fingerprint, newKeyPair } from "../../../test/support/keys.js";
import { backoffMs, Link } from "./link.js";
import { serveSsh } from "./server.js";
import type { ServeOptions, SshServer } from "./types.js";

const host = newKeyPair("host");
const known = newKeyPair("agent001");
const stranger = newKeyPair("stranger");
let dir: string;
let server: SshServer;
const peers: string[] = [];

const serve = async (options: Partial<ServeOptions> = {}): Promise<SshServer> =>
  await serveSsh({
    address: "127.0.0.1",
    port: 0,
    hostKeyPath: join(dir, "host"),
    authorizedKeysPath: join(dir, "keys"),
    subsystems: {
      echo: async ({ stream }) => void stream.pipe(stream),
      whoami: async (channel) => {
        channel.stream.write(`${channel.peer.comment}\n`);
        channel.exit(7);
      },
      size: async (channel) => channel.onWindowChange(({ cols, rows }) => channel.stream.write(`${cols}x${rows}\n`)),
      throws: async () => {
        throw new Error("broken handler");
      },
    },
    log: silentLog,
    onPeer: (peer, state) => peers.push(`${peer.comment} ${state}`),
    ...options,
  });

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "convocate-ssh-"));
  await writeFile(join(dir, "host"), host.privateKey, { mode: 0o600 });
  await writeFile(join(dir, "keys"), `# agents\nnonsense\n${known.publicKey}\n`);
  peers.length = 0;
  server = await serve();
});
afterEach(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

const dialAs = (pair = known, hostKey = host.publicKey) =>
  dial({ host: "127.0.0.1", port: server.port, privateKey: pair.privateKey, hostKey, timeoutMs: 20_000 });

/** A client with every door tried by hand: the same key, but ssh2's own API. */
const rawClient = async (): Promise<ssh2.Client> => {
  const client = new ssh2.Client();
  client.on("error", () => undefined);
  await new Promise<void>((resolve) =>
    client
      .on("ready", () => resolve())
      .connect({ host: "127.0.0.1", port: server.port, username: "x", privateKey: known.privateKey }),
  );
  return client;
};
const outcome = (act: (done: (error?: Error | null) => void) => unknown) =>
  new Promise<string>((resolve) => act((error) => resolve(error ? "refused" : "granted")));

test("of a connection that closed, how long nothing had come from it is told", async () => {
  const { promise: silence, resolve: tell } = Promise.withResolvers<number>();
  await server.close();
  server = await serve({ onPeer: (_peer, state, silentMs) => void (state === "closed" && tell(silentMs)) });
  const connection = await dialAs();
  const { stream } = await connection.openSubsystem("echo");
  await new Promise((resolve) => setTimeout(resolve, 600));
  const before = performance.now();
  stream.write("here\n");
  await once(stream, "data");
  await new Promise((resolve) => setTimeout(resolve, 300));
  await server.close();
  expect(await silence).toBeGreaterThanOrEqual(250);
  // Since its last byte, not since it came.
  expect(await silence).toBeLessThan(performance.now() - before);
}, 60_000);

test("a network that hands on single bytes is one like any other, and a connection once there has its time to get ready", async () => {
  await using proxy = await startProxy(() => server.port);
  proxy.slice(true);
  proxy.delay(40);
  const slowly = { port: proxy.port, connectTimeoutMs: 200, timeoutMs: 20_000 };
  const { privateKey } = known;
  await using connection = await dial({ host: "127.0.0.1", privateKey, hostKey: host.publicKey, ...slowly });
  const channel = await connection.openSubsystem("whoami");
  expect(await readFirstLine(channel.stream)).toBe("agent001");
  proxy.stall();
  const swallowed = dial({ host: "127.0.0.1", privateKey, hostKey: host.publicKey, ...slowly, timeoutMs: 500 });
  await expect(swallowed).rejects.toMatchObject({ code: "TIMEOUT", message: expect.stringContaining("within 0.5 s") });
});

test("a known key reaches a named subsystem, its comment says who it is, and the exit status comes back", async () => {
  await using connection = await dialAs();
  const channel = await connection.openSubsystem("whoami");
  expect(await readFirstLine(channel.stream)).toBe("agent001");
  channel.stream.resume();
  expect(await channel.closed).toBe(7);
  expect(peers).toEqual(["agent001 connected"]);
});

test("window changes arrive without a pty", async () => {
  await using connection = await dialAs();
  const channel = await connection.openSubsystem("size");
  channel.setWindow({ cols: 132, rows: 50 });
  expect(await readFirstLine(channel.stream)).toBe("132x50");
});

test("an unknown key and a password are refused", async () => {
  await expect(dialAs(stranger)).rejects.toMatchObject({ code: "AUTH_REJECTED" });
  const client = new ssh2.Client();
  const refused = new Promise<string>((resolve) =>
    client.on("error", (error) => resolve(error.message)).on("ready", () => resolve("ready")),
  );
  client.connect({ host: "127.0.0.1", port: server.port, username: "root", password: "root" });
  expect(await refused).toMatch(/authentication methods failed/);
  client.end();
});

test("a wrong host key is refused with both fingerprints", async () => {
  const other = newKeyPair("other").publicKey;
  await expect(dialAs(known, other)).rejects.toMatchObject({ code: "HOST_KEY_MISMATCH" });
  await expect(dialAs(known, other)).rejects.toThrow(fingerprint(other));
  await expect(dialAs(known, other)).rejects.toThrow(fingerprint(host.publicKey));
});

test("shell, exec, pty, sftp, forwards and unknown subsystems are refused at protocol level", async () => {
  const client = await rawClient();
  expect(await outcome((done) => client.shell(false, done))).toBe("refused");
  expect(await outcome((done) => client.shell(done))).toBe("refused");
  expect(await outcome((done) => client.exec("id", done))).toBe("refused");
  expect(await outcome((done) => client.sftp(done))).toBe("refused");
  expect(await outcome((done) => client.subsys("other", done))).toBe("refused");
  expect(await outcome((done) => client.subsys("__proto__", done))).toBe("refused");
  expect(await outcome((done) => client.forwardOut("127.0.0.1", 1, "127.0.0.1", server.port, done))).toBe("refused");
  expect(await outcome((done) => client.forwardIn("127.0.0.1", 0, done))).toBe("refused");
  expect(await outcome((done) => client.subsys("whoami", done))).toBe("granted");
  client.end();
});

test("a revoked key's live connection is closed within a second or so, and a new one is let in without a restart", async () => {
  await using connection = await dialAs();
  await writeFile(join(dir, "keys"), `${stranger.publicKey}\n`);
  const gone = await Promise.race([connection.closed.then(() => "closed"), sleep(5000, "still there", { ref: false })]);
  expect(gone).toBe("closed");
  await using second = await dialAs(stranger);
  expect(second).toBeDefined();
});

test("a handler that throws closes its channel with status 1 and leaves the connection", async () => {
  await using connection = await dialAs();
  const broken = await connection.openSubsystem("throws");
  broken.stream.resume();
  expect(await broken.closed).toBe(1);
  expect(await readFirstLine((await connection.openSubsystem("whoami")).stream)).toBe("agent001");
});

test("those who never authenticate are bounded in number and in time", async () => {
  await server.close();
  server = await serve({ limits: { authTimeoutMs: 300, maxUnauthenticated: 2 } });
  const open = (): { socket: Socket; closed: Promise<string> } => {
    const socket = connect(server.port, "127.0.0.1").on("error", () => undefined);
    socket.resume();
    return { socket, closed: new Promise((resolve) => socket.once("close", () => resolve("closed"))) };
  };
  const idle = [open(), open()];
  await sleep(100);
  expect(await open().closed).toBe("closed");
  expect(await Promise.all(idle.map(({ closed }) => closed))).toEqual(["closed", "closed"]);
  await using connection = await dialAs();
  expect(connection).toBeDefined();
});

test("garbage before authentication costs one connection and nothing else", async () => {
  for (const garbage of [
    Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    Buffer.alloc(70_000, 1),
    Buffer.from("SSH-2.0-x\r\n\0\0\0\x01"),
  ]) {
    const socket = connect(server.port, "127.0.0.1").on("error", () => undefined);
    socket.write(garbage);
    await sleep(50);
    socket.destroy();
  }
  await using connection = await dialAs();
  expect(connection).toBeDefined();
});

test("nobody there, and somebody who never answers, are told apart", async () => {
  const port = server.port;
  await server.close();
  const options = { host: "127.0.0.1", port, privateKey: known.privateKey, hostKey: host.publicKey };
  await expect(dial(options)).rejects.toMatchObject({ code: "CONNECTION_REFUSED" });
  const { createServer } = await import("node:net");
  const mute = createServer(() => undefined);
  await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
  const address = mute.address();
  const silent = dial({ ...options, port: typeof address === "object" ? address!.port : 0, timeoutMs: 200 });
  await expect(silent).rejects.toMatchObject({ code: "TIMEOUT" });
  mute.close();
});

test("a link comes up again after its connection broke", async () => {
  let ups = 0;
  const downs: string[] = [];
  let connectionOf: { close(): void } | undefined;
  await using link = new Link({
    dial: () => dialAs(),
    onUp: (connection) => {
      ups++;
      connectionOf = connection;
    },
    onDown: (error) => void downs.push(error.code),
    log: silentLog,
  });
  link.start();
  const until = (n: number): Promise<true> => eventually(`connection ${n}`, () => ups >= n);
  await until(1);
  connectionOf?.close();
  await until(2);
  expect(ups).toBe(2);
  expect(downs).toEqual(["CONNECTION_LOST"]);
});

test("redials wait 1 s to 30 s, doubling, never in step", () => {
  expect(backoffMs(0, () => 1)).toBe(1000);
  expect(backoffMs(3, () => 1)).toBe(8000);
  expect(backoffMs(50, () => 1)).toBe(30_000);
  expect(backoffMs(3, () => 0)).toBe(4000);
});
