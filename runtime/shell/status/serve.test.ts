import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { eventually } from "../../../test/support/eventually.js";
import { keyFiles, tempDir } from "../../../test/support/keys.js";
import { AgentId, FeedLine, SUBSYSTEM, type AgentEvent, type AgentStatus } from "../../domain/index.js";
import { silentLog, type Log } from "../../protocol/log.js";
import { readLines } from "../../protocol/ndjson.js";
import { dial } from "../../protocol/ssh/client.js";
import type { ClientChannel, SshConnection } from "../../protocol/ssh/types.js";
import { serveStatus, type StatusService } from "./serve.js";
import { StatusStore } from "./store.js";

jest.setTimeout(30_000);

const A = AgentId.parse("agentaaa");
const B = AgentId.parse("agentbbb");

let dir: ReturnType<typeof tempDir>;
let cleanup: AsyncDisposableStack;
let hostKey: string;
const keys = new Map<AgentId, string>();
let logged: { fields: Record<string, unknown>; message: string }[];
const log: Log = { ...silentLog, warn: (fields, message) => void logged.push({ fields, message }) };

const paths = () => ({
  hostKey: join(dir.path, "host"),
  authorizedKeys: join(dir.path, "authorized"),
  statusDb: join(dir.path, "state", "status.db"),
  statusSocket: join(dir.path, "run", "status.sock"),
});

beforeEach(() => {
  cleanup = new AsyncDisposableStack();
  dir = cleanup.use(tempDir());
  logged = [];
  hostKey = keyFiles(dir.path, "host", "status").publicKey;
  const lines = [A, B].map((id) => {
    const pair = keyFiles(dir.path, `key-${id}`, id);
    keys.set(id, pair.privateKey);
    return pair.publicKey;
  });
  writeFileSync(join(dir.path, "authorized"), `${lines.join("\n")}\n`);
});
afterEach(() => cleanup.disposeAsync());

async function start(options: { historyEvents?: number; feedBufferBytes?: number } = {}): Promise<StatusService> {
  const service = await serveStatus({ paths: paths(), port: 0, address: "127.0.0.1", gid: null, log, ...options });
  cleanup.defer(() => service[Symbol.asyncDispose]());
  return service;
}

interface Speaker {
  connection: SshConnection;
  channel: ClientChannel;
  acks: number[];
  say(...events: (AgentEvent | string)[]): void;
}

async function speak(service: StatusService, id: AgentId): Promise<Speaker> {
  const connection = await dial({ host: "127.0.0.1", port: service.port, privateKey: keys.get(id)!, hostKey });
  cleanup.defer(() => connection.close());
  const channel = await connection.openSubsystem(SUBSYSTEM.status);
  const acks: number[] = [];
  void (async () => {
    for await (const item of readLines(channel.stream)) if ("line" in item) acks.push(JSON.parse(item.line).ack);
  })().catch(() => undefined);
  const say = (...events: (AgentEvent | string)[]): void => {
    channel.stream.write(
      events.map((event) => `${typeof event === "string" ? event : JSON.stringify(event)}\n`).join(""),
    );
  };
  return { connection, channel, acks, say };
}

function event(seq: number, change: Partial<AgentEvent> = {}): AgentEvent {
  const timestamp = "2026-11-21T00:00:00.000Z";
  return { seq, stream: "s1", type: "container.started", agent_id: A, timestamp, data: {}, ...change };
}

function heartbeat(id: AgentId, release = "3.0.0"): AgentEvent {
  const data = {
    name: `name-${id}`,
    release,
    image: "convocate:1.0.0",
    uptime_s: 1,
    sessions: { total: 2, running: 1, attached: 0 },
  };
  return event(0, { type: "agent.heartbeat", agent_id: id, data });
}

function reader(): { lines: FeedLine[]; socket: Socket; agent(id: AgentId): AgentStatus | undefined } {
  const socket = connect(paths().statusSocket);
  cleanup.defer(() => void socket.destroy());
  const lines: FeedLine[] = [];
  void (async () => {
    for await (const item of readLines(socket)) if ("line" in item) lines.push(FeedLine.parse(JSON.parse(item.line)));
  })().catch(() => undefined);
  const agent = (id: AgentId): AgentStatus | undefined =>
    lines
      .flatMap((line) => (line.kind === "snapshot" ? line.agents : line.kind === "agent" ? [line.agent] : []))
      .findLast((status) => status.agent_id === id);
  return { lines, socket, agent };
}

const seqs = (lines: readonly FeedLine[]): number[] =>
  lines.flatMap((line) => (line.kind === "event" ? [line.event.seq] : []));

function storedSeqs(): number[] {
  using store = new StatusStore(paths().statusDb);
  const seqs: number[] = [];
  for (let after = 0, more = true; more;) {
    const page = store.history({ after, limit: 1000 });
    seqs.push(...page.events.map(({ event: kept }) => kept.seq));
    after = page.events.at(-1)?.cursor ?? after;
    more = page.more;
  }
  return seqs;
}

describe("convocate-status", () => {
  test("acknowledges events once they are stored, in order, and shows them on the feed", async () => {
    const service = await start();
    const feed = reader();
    await eventually("snapshot", () => feed.lines.length > 0);
    const agent = await speak(service, A);
    agent.say(...Array.from({ length: 300 }, (_, i) => event(i + 1)));
    await eventually("last ack", () => agent.acks.at(-1) === 300);
    expect(agent.acks).toEqual([...agent.acks].sort((a, b) => a - b));
    await eventually("feed", () => seqs(feed.lines).length === 300);
    expect(seqs(feed.lines)).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    expect(feed.lines[0]?.kind).toBe("snapshot");
    expect(storedSeqs()).toHaveLength(300);
    expect(logged).toEqual([]);
  });

  test("an event sent twice is acknowledged twice and kept once, also after a restart of the service", async () => {
    const service = await start();
    const agent = await speak(service, A);
    agent.say(event(1), event(2));
    await eventually("ack", () => agent.acks.at(-1) === 2);
    await service[Symbol.asyncDispose]();

    const again = await start();
    const back = await speak(again, A);
    back.say(event(1), event(2), event(3));
    await eventually("ack", () => back.acks.at(-1) === 3);
    expect(storedSeqs()).toEqual([1, 2, 3]);
  });

  test("a gap is accepted and logged, a new stream begins anew, and spool.dropped leaves no gap", async () => {
    const service = await start();
    const agent = await speak(service, A);
    agent.say(
      event(1),
      event(5),
      event(1, { stream: "s2" }),
      event(9, { stream: "s2", type: "spool.dropped" }),
      event(10, { stream: "s2" }),
    );
    await eventually("ack", () => agent.acks.at(-1) === 10);
    expect(storedSeqs()).toEqual([1, 5, 1, 9, 10]);
    expect(logged.map((line) => line.fields["missing"])).toEqual([3]);
  });

  test("an event that claims another agent's id is dropped and logged, and so is a malformed line", async () => {
    const service = await start();
    const agent = await speak(service, A);
    agent.say("{broken", event(1, { agent_id: B }), '{"seq":"x"}', "x".repeat(1024 * 1024 + 1), event(2));
    await eventually("ack", () => agent.acks.at(-1) === 2);
    expect(storedSeqs()).toEqual([2]);
    expect(logged.filter((line) => line.fields["claimed"] === B)).toHaveLength(1);
    expect(logged.filter((line) => line.message.startsWith("skipped"))).toHaveLength(3);
  });

  test("heartbeats update the agent's state, are not kept and not acknowledged", async () => {
    const service = await start();
    const feed = reader();
    const agent = await speak(service, A);
    agent.say(heartbeat(A));
    const status = await eventually("heartbeat on the feed", () =>
      feed.agent(A)?.last_heartbeat_at ? feed.agent(A) : null,
    );
    expect(status).toMatchObject({
      connection: "connected",
      name: "name-agentaaa",
      release: "3.0.0",
      sessions: { total: 2, running: 1, attached: 0 },
    });
    expect(feed.agent(B)).toMatchObject({ connection: "silent", last_heartbeat_at: null });
    expect(agent.acks).toEqual([]);
    expect(storedSeqs()).toEqual([]);
  });

  test("an agent that leaves is silent, and after a restart its last state is still known", async () => {
    const service = await start();
    const agent = await speak(service, A);
    agent.say(heartbeat(A));
    const feed = reader();
    await eventually("heartbeat", () => feed.agent(A)?.last_heartbeat_at);
    agent.connection.close();
    await eventually("silent", () => feed.agent(A)?.connection === "silent");
    await service[Symbol.asyncDispose]();

    const again = await start();
    const later = reader();
    await eventually("snapshot", () => later.lines.length > 0);
    expect(later.agent(A)).toMatchObject({ connection: "silent", release: "3.0.0", image: "convocate:1.0.0" });
    await speak(again, A);
    await eventually("connected again", () => later.agent(A)?.connection === "connected");
  });

  test("an agent whose key is taken out is forgotten, and its connection closed", async () => {
    const service = await start();
    const feed = reader();
    const agent = await speak(service, A);
    agent.say(heartbeat(A));
    await eventually("heartbeat", () => feed.agent(A)?.last_heartbeat_at);
    const lines = readFileSync(paths().authorizedKeys, "utf8").split("\n");
    writeFileSync(paths().authorizedKeys, lines.filter((line) => !line.endsWith(A)).join("\n"));
    await agent.connection.closed;
    const last = await eventually("a snapshot without it", () =>
      feed.lines.findLast((line) => line.kind === "snapshot" && !line.agents.some((status) => status.agent_id === A)),
    );
    expect(last.kind === "snapshot" && last.agents.map((status) => status.agent_id)).toEqual([B]);
    using store = new StatusStore(paths().statusDb);
    expect(store.agents().map((status) => status.agent_id)).toEqual([B]);
  });

  test("what an agent listed last is told to who asks, also after a restart, until the agent is taken away", async () => {
    const service = await start();
    service.listed(A, []);
    await service[Symbol.asyncDispose]();
    await start();
    const feed = reader();
    await eventually("snapshot", () => feed.lines.length > 0);
    const answers = () => feed.lines.flatMap((line) => (line.kind === "sessions" ? [line.listed_at !== null] : []));
    const ask = (id: AgentId) => feed.socket.write(`${JSON.stringify({ kind: "sessions", agent_id: id })}\n`);
    ask(A);
    ask(B);
    await eventually("answers", () => answers().length === 2);
    expect(answers()).toEqual([true, false]);
    const lines = readFileSync(paths().authorizedKeys, "utf8").split("\n");
    writeFileSync(paths().authorizedKeys, lines.filter((line) => !line.endsWith(A)).join("\n"));
    await eventually("forgotten", () => feed.lines.filter((line) => line.kind === "snapshot").length > 1);
    ask(A);
    await eventually("answer", () => answers().length === 3);
    expect(answers()[2]).toBe(false);
    feed.socket.write("nonsense\n");
    await eventually("an error, and the feed lives on", () => feed.lines.some((line) => line.kind === "error"));
  });

  test("the history is bounded, and what it has dropped is still known as a duplicate", async () => {
    const service = await start({ historyEvents: 10 });
    const agent = await speak(service, A);
    agent.say(...Array.from({ length: 30 }, (_, i) => event(i + 1)));
    await eventually("ack", () => agent.acks.at(-1) === 30);
    agent.say(event(3), event(31));
    await eventually("ack", () => agent.acks.at(-1) === 31);
    expect(storedSeqs()).toEqual([22, 23, 24, 25, 26, 27, 28, 29, 30, 31]);
  });

  test("a reader that does not read is cut off, others and the agent do not wait for it", async () => {
    const service = await start({ feedBufferBytes: 1024 * 1024 });
    const slow = connect(paths().statusSocket).pause();
    cleanup.defer(() => void slow.destroy());
    const feed = reader();
    await eventually("snapshot", () => feed.lines.length > 0);
    const agent = await speak(service, A);
    const filler = "x".repeat(50_000);
    for (let seq = 1; seq <= 60; seq += 1) {
      agent.say(event(seq, { data: { filler } }));
      await eventually(`event ${seq}`, () => agent.acks.at(-1) === seq && seqs(feed.lines).length === seq);
    }
    expect(logged.filter((line) => line.message.includes("too slow"))).toHaveLength(1);
  });

  test("the socket is for its group alone, a stale one is replaced, a served one is not", async () => {
    const stale = createServer();
    await new Promise<void>((resolve) => stale.listen(join(dir.path, "x.sock"), resolve));
    const service = await start();
    expect(statSync(paths().statusSocket).mode & 0o777).toBe(0o660);
    await expect(start()).rejects.toMatchObject({ code: "REFUSED" });
    await service[Symbol.asyncDispose]();
    stale.close();
    await leaveStaleSocket(paths().statusSocket);
    await start();
    const feed = reader();
    await eventually("snapshot", () => feed.lines.length > 0);
  });
});

/** A socket file nobody listens on, as a killed process leaves it. */
async function leaveStaleSocket(path: string): Promise<void> {
  const { spawn } = await import("node:child_process");
  const script =
    "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
  const child = spawn(process.execPath, ["-e", script, path], { stdio: "ignore" });
  await new Promise((resolve) => child.once("exit", resolve));
  expect(statSync(path).isSocket()).toBe(true);
}
