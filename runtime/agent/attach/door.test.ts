import { duplexPair, type Duplex } from "node:stream";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { FakeDocker } from "../../../test/agent/fake-docker.js";
import type { FakeTty } from "../../../test/agent/fake-tty.js";
import { AgentSettings, ConvocateError, newSessionId, type SessionId } from "../../domain/index.js";
import { FrameDecoder } from "../../protocol/attach/framing.js";
import type { AttachReply } from "../../protocol/attach/header.js";
import { silentLog } from "../../protocol/log.js";
import type { ServedChannel, WindowSize } from "../../protocol/ssh/types.js";
import { systemClock } from "../clock.js";
import { SESSION_LABEL } from "../containers/engine.js";
import { containerName } from "../containers/spec.js";
import { Locks } from "../sessions/locks.js";
import { AttachCounts } from "./counts.js";
import { AttachDoor } from "./door.js";
import { InputStreams } from "./streams.js";

const STREAM = "7d9f1c1e-5b1f-4a57-9d3c-5f6f0d2f6f10";
let docker: FakeDocker;
let id: SessionId;
let counts: AttachCounts;
let locks: Locks;
let door: AttachDoor;
let touched: number;

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) await systemClock.sleep(5);
  if (!condition()) throw new Error(`it did not happen: ${what}`);
}

/** A client on the far end of a channel. */
class Client {
  readonly #far: Duplex;
  readonly #gone = new AbortController();
  readonly #framed: boolean;
  readonly #frames = new FrameDecoder();
  #received = Buffer.alloc(0);
  #resize: (size: WindowSize) => void = () => undefined;
  reply: AttachReply | null = null;
  screen = "";
  acked = 0;
  exit: number | null = null;
  closed = false;
  readonly served: Promise<void>;

  constructor(header: object | string, more = "") {
    const [near, far] = duplexPair();
    this.#far = far;
    this.#framed = typeof header === "object" && "stream" in header;
    far.on("error", () => undefined);
    far.on("data", (chunk: Buffer) => this.#take(chunk));
    near.on("close", () => {
      this.closed = true;
      this.#gone.abort();
    });
    far.write(`${typeof header === "string" ? header : JSON.stringify({ cols: 100, rows: 30, ...header })}\n${more}`);
    const channel: ServedChannel = {
      stream: near,
      peer: { comment: "shell", fingerprint: "SHA256:x", address: "::1" },
      signal: this.#gone.signal,
      onWindowChange: (listener) => (this.#resize = listener),
      exit: (status) => {
        this.exit ??= status;
        near.end();
      },
    };
    this.served = door.serve(channel);
  }

  type(text: string): void {
    this.#far.write(text);
  }

  resize(cols: number, rows: number): void {
    this.#resize({ cols, rows });
  }

  /** The connection breaks. */
  drop(): void {
    this.#gone.abort();
    this.#far.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.reply) return this.#show(chunk);
    this.#received = Buffer.concat([this.#received, chunk]);
    const end = this.#received.indexOf(10);
    if (end === -1) return;
    this.reply = JSON.parse(this.#received.toString("utf8", 0, end)) as AttachReply;
    this.#show(this.#received.subarray(end + 1));
  }

  #show(chunk: Buffer): void {
    if (!this.#framed) {
      this.screen += chunk.toString();
      return;
    }
    for (const frame of this.#frames.push(chunk)) {
      if (frame.kind === "output") this.screen += frame.data.toString();
      else this.acked = frame.taken;
    }
  }
}

async function attach(header: object = {}, more = ""): Promise<{ client: Client; tty: FakeTty }> {
  const before = docker.ttys.length;
  const client = new Client({ id, ...header }, more);
  await until(() => docker.ttys.length > before, "a TTY");
  const tty = docker.ttys.at(-1)!;
  tty.show("[screen]");
  await until(() => client.screen !== "", "a screen");
  return { client, tty };
}

beforeEach(async () => {
  docker = new FakeDocker();
  docker.images.add("convocate:1");
  id = newSessionId();
  counts = new AttachCounts();
  locks = new Locks(systemClock, 300);
  touched = 0;
  door = new AttachDoor({
    docker,
    settings: AgentSettings.parse({ name: "a" }),
    locks,
    counts,
    streams: new InputStreams(systemClock),
    processes: {
      isIn: async (pid) => docker.ttys.some((tty) => tty.pid === pid && tty.exitCode === null),
      signal: (pid) => docker.ttys.find((tty) => tty.pid === pid)?.end(143),
    },
    clock: systemClock,
    log: silentLog,
    find: (wanted) => {
      if (wanted !== id) throw new ConvocateError("SESSION_NOT_FOUND", "no such session");
      return { name: "one" };
    },
    touch: async () => void (touched += 1),
  });
  await docker.create({ name: containerName(id), Image: "convocate:1", Labels: { [SESSION_LABEL]: id } });
  await docker.start(containerName(id));
});

describe("an attach", () => {
  test("carries bytes both ways, as the session's user, on a TTY with the client's size and terminal", async () => {
    const { client, tty } = await attach({ term: "xterm-kitty" });
    expect(client.reply).toEqual({ ok: true });
    expect(tty.request).toMatchObject({ user: "1337:1337", env: { TERM: "xterm-kitty", HOME: "/home/claude" } });
    expect(tty.request.argv.slice(-3)).toEqual(["100", "30", "rw"]);
    client.type("hello\r");
    await until(() => tty.typed === "hello\r", "input");
    tty.show(" world");
    await until(() => client.screen === "[screen] world", "output");
    expect(counts.of(id)).toBe(1);
    expect(touched).toBe(1);
    tty.end(0);
    await client.served;
    expect(counts.of(id)).toBe(0);
  });

  test("to a container of an earlier release is refused, and says what makes a new one", async () => {
    await docker.remove(containerName(id));
    await docker.create({ name: containerName(id), Image: "convocate:1" });
    await docker.start(containerName(id));
    const client = new Client({ id });
    await until(() => client.reply !== null, "a reply");
    expect(client.reply).toMatchObject({ code: "REFUSED", error: expect.stringContaining("restart --force one") });
    expect(docker.ttys).toEqual([]);
  });

  test("takes what came in the header's packet as input, but not before tmux has its terminal", async () => {
    const client = new Client({ id }, "early\r");
    await until(() => docker.ttys.length === 1, "a TTY");
    await systemClock.sleep(50);
    expect(docker.ttys[0]!.typed).toBe("");
    docker.ttys[0]!.show("[screen]");
    await until(() => docker.ttys[0]!.typed === "early\r", "early input");
    docker.ttys[0]!.end(0);
    await client.served;
  });

  test("ends with its process's exit status, without waiting for a key", async () => {
    const { client, tty } = await attach();
    tty.show("bye");
    tty.end(7);
    await client.served;
    expect(client.exit).toBe(7);
    expect(client.screen).toBe("[screen]bye");
  });

  test("resizes the TTY, to the last of several sizes", async () => {
    const { client, tty } = await attach();
    client.resize(90, 20);
    client.resize(91, 21);
    client.resize(92, 22);
    await until(() => tty.sizes.at(-1)?.cols === 92, "a resize");
    expect(tty.sizes).toEqual([
      { cols: 90, rows: 20 },
      { cols: 92, rows: 22 },
    ]);
    tty.end(0);
    await client.served;
  });

  test("of a viewer passes nothing on", async () => {
    const { client, tty } = await attach({ mode: "ro" });
    expect(tty.request.argv.at(-1)).toBe("ro");
    client.type("rm -rf /\r");
    await systemClock.sleep(50);
    expect(tty.typed).toBe("");
    tty.end(0);
    await client.served;
  });

  test("whose client is gone ends its tmux client soon", async () => {
    const { client, tty } = await attach();
    const before = Date.now();
    client.drop();
    await client.served;
    expect(tty.exitCode).toBe(143);
    // A second where the machine has nothing else to do; what it must not take is as long as Docker's own timeouts.
    expect(Date.now() - before).toBeLessThan(5_000);
    expect(counts.of(id)).toBe(0);
  });

  test("that Docker drops while its process lives on ends without an exit status, and ends the process", async () => {
    const { client, tty } = await attach();
    tty.cut();
    await client.served;
    expect(client.exit).toBeNull();
    await until(() => client.closed, "the channel's end");
    expect(tty.exitCode).toBe(143);
  });

  test("waits for tmux in a container that has just started", async () => {
    let asked = 0;
    docker.onRun = () => ({ exitCode: (asked += 1) < 3 ? 1 : 0, output: "" });
    const { client, tty } = await attach();
    expect(asked).toBe(3);
    tty.end(0);
    await client.served;
  });

  test("waits for an operation in flight, and no longer than it may", async () => {
    const gate = Promise.withResolvers<void>();
    const restart = locks.run(id, "restart", () => gate.promise);
    const client = new Client({ id });
    await systemClock.sleep(50);
    expect(docker.ttys).toHaveLength(0);
    await client.served;
    expect(client.reply).toMatchObject({ ok: false, code: "SESSION_LOCKED" });
    gate.resolve();
    await restart;
  });
});

describe("an attach is refused", () => {
  test.each([
    ["not json", "BAD_REQUEST"],
    ["{}", "BAD_PARAMS"],
    ['{"id":"../../etc/passwd","cols":80,"rows":24}', "BAD_PARAMS"],
    ['{"id":"0a1b2c3d-0000-4000-8000-000000000001","cols":0,"rows":24}', "BAD_PARAMS"],
    ['{"id":"0a1b2c3d-0000-4000-8000-000000000001","cols":80,"rows":24,"term":"x; rm"}', "BAD_PARAMS"],
    ['{"id":"0a1b2c3d-0000-4000-8000-000000000001","cols":80,"rows":24}', "SESSION_NOT_FOUND"],
  ])("for the header %s with %s", async (header, code) => {
    const client = new Client(header);
    await client.served;
    await until(() => client.reply !== null, "a reply");
    expect(client.reply).toMatchObject({ ok: false, code });
    expect(client.exit).toBe(1);
    expect(docker.ttys).toHaveLength(0);
  });

  test("when the session does not run, with what to do", async () => {
    await docker.stop(containerName(id));
    const client = new Client({ id });
    await client.served;
    await until(() => client.reply !== null, "a reply");
    expect(client.reply).toMatchObject({
      ok: false,
      code: "SESSION_NOT_RUNNING",
      error: expect.stringContaining("convocate restart one"),
    });
  });
});

describe("a framed attach", () => {
  test("acknowledges what reached the session", async () => {
    const { client, tty } = await attach({ stream: STREAM }, "abc");
    expect(client.reply).toEqual({ ok: true, taken: null });
    await until(() => client.acked === 3, "an acknowledgement");
    client.type("defg");
    await until(() => client.acked === 7, "another");
    expect(tty.typed).toBe("abcdefg");
    tty.end(0);
    await client.served;
  });

  test("tells a client that comes back how much was taken", async () => {
    const first = await attach({ stream: STREAM }, "abc");
    await until(() => first.client.acked === 3, "an acknowledgement");
    first.client.drop();
    await first.client.served;
    const second = await attach({ stream: STREAM });
    expect(second.client.reply).toEqual({ ok: true, taken: 3 });
    second.tty.end(0);
    await second.client.served;
  });

  test("ends the stream's older connection first, without an exit status", async () => {
    const first = await attach({ stream: STREAM }, "abc");
    await until(() => first.client.acked === 3, "an acknowledgement");
    const second = await attach({ stream: STREAM });
    await until(() => first.client.closed, "the older channel's end");
    expect(first.client.exit).toBeNull();
    expect(first.tty.exitCode).toBe(143);
    expect(second.client.reply).toEqual({ ok: true, taken: 3 });
    expect(counts.of(id)).toBe(1);
    second.tty.end(0);
    await second.client.served;
  });
});
