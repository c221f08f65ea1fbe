import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../../test/support/eventually.js";
import { keyFiles, tempDir } from "../../../test/support/keys.js";
import { AgentId, SUBSYSTEM, type AgentEvent } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { readLines } from "../../protocol/ndjson.js";
import { dial } from "../../protocol/ssh/client.js";
import type { SshConnection } from "../../protocol/ssh/types.js";
import { serveStatus, type StatusService } from "../status/serve.js";
import { readHistory, type HistoryOptions } from "./history.js";

jest.setTimeout(90_000);

const AGENTS = Array.from({ length: 20 }, (_, at) => AgentId.parse(`agent${String(at).padStart(3, "0")}`));
const EACH = 200;
let cleanup: AsyncDisposableStack;
let dir: string;
let hostKey: string;
let keys: Map<AgentId, string>;

beforeEach(() => {
  cleanup = new AsyncDisposableStack();
  dir = cleanup.use(tempDir()).path;
  hostKey = keyFiles(dir, "host", "status").publicKey;
  keys = new Map();
  const lines = AGENTS.map((id) => {
    const pair = keyFiles(dir, `key-${id}`, id);
    keys.set(id, pair.privateKey);
    return pair.publicKey;
  });
  writeFileSync(join(dir, "authorized"), `${lines.join("\n")}\n`);
});
afterEach(() => cleanup.disposeAsync());

const statusSocket = (): string => join(dir, "status.sock");

async function start(): Promise<StatusService> {
  const paths = {
    hostKey: join(dir, "host"),
    authorizedKeys: join(dir, "authorized"),
    statusDb: join(dir, "status.db"),
    statusSocket: statusSocket(),
  };
  const service = await serveStatus({ paths, port: 0, address: "127.0.0.1", gid: null, log: silentLog });
  cleanup.defer(() => service[Symbol.asyncDispose]());
  return service;
}

function event(agent: AgentId, seq: number): AgentEvent {
  const timestamp = "2026-11-21T00:00:00.000Z";
  return { seq, stream: "s", type: "container.started", agent_id: agent, timestamp, data: {} };
}

/** An agent with a spool: sends all that is not acknowledged, in order, over one connection. */
async function send(
  service: StatusService,
  id: AgentId,
  from: number,
): Promise<{ acked: () => number; connection: SshConnection }> {
  const connection = await dial({ host: "127.0.0.1", port: service.port, privateKey: keys.get(id)!, hostKey });
  cleanup.defer(() => connection.close());
  const { stream } = await connection.openSubsystem(SUBSYSTEM.status);
  let acked = from - 1;
  void (async () => {
    for await (const item of readLines(stream)) if ("line" in item) acked = JSON.parse(item.line).ack;
  })().catch(() => undefined);
  for (let seq = from; seq <= EACH; seq += 1) stream.write(`${JSON.stringify(event(id, seq))}\n`);
  return { acked: () => acked, connection };
}

async function collect(options: Partial<HistoryOptions> = {}): Promise<AgentEvent[]> {
  const seen: AgentEvent[] = [];
  const { signal } = new AbortController();
  for await (const item of readHistory({ path: statusSocket(), limit: 1000, signal, ...options }))
    if (item.kind === "event") seen.push(item.event);
  return seen;
}

/** That each agent's events are there once and in order. */
function expectEach(events: readonly AgentEvent[]): void {
  for (const id of AGENTS)
    expect(events.filter(({ agent_id }) => agent_id === id).map(({ seq }) => seq)).toEqual(
      Array.from({ length: EACH }, (_, at) => at + 1),
    );
}

test("20 agents that reconnect together over a restart: each event once, in order, for the history and for a follower", async () => {
  const first = await start();
  const told = new AbortController();
  const followed: AgentEvent[] = [];
  const following = (async () => {
    for await (const item of readHistory({
      path: statusSocket(),
      since: new Date(0),
      limit: 100,
      follow: true,
      signal: told.signal,
    }))
      if (item.kind === "event") followed.push(item.event);
  })();
  const sent = await Promise.all(AGENTS.map((id) => send(first, id, 1)));
  await eventually("under way", () => sent.some(({ acked }) => acked() > 20), { timeoutMs: 30_000 });
  await first[Symbol.asyncDispose]();

  const second = await start();
  const again = await Promise.all(AGENTS.map((id, at) => send(second, id, (sent[at]?.acked() ?? 0) + 1)));
  await eventually("all acknowledged", () => again.every(({ acked }) => acked() === EACH), { timeoutMs: 60_000 });
  expectEach(await collect({ since: new Date(0) }));
  await eventually("followed", () => followed.length >= AGENTS.length * EACH, { timeoutMs: 30_000 });
  told.abort();
  await following;
  expectEach(followed);
});

test("the newest few are the last that came, and without convocate-status there is a word of what to do", async () => {
  const service = await start();
  const [id] = AGENTS;
  const agent = await send(service, id!, 1);
  await eventually("acknowledged", () => agent.acked() === EACH, { timeoutMs: 30_000 });
  expect((await collect({ limit: 3 })).map(({ seq }) => seq)).toEqual([EACH - 2, EACH - 1, EACH]);
  await service[Symbol.asyncDispose]();
  await expect(collect()).rejects.toMatchObject({
    code: "UNREACHABLE",
    message: expect.stringContaining("systemctl status convocate-status"),
  });
});
