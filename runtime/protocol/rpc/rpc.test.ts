import { expect, test } from "@jest/globals";
import { duplexPair } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { ConvocateError, newAgentId } from "../../domain/index.js";
import { silentLog } from "../log.js";
import { readLines } from "../ndjson.js";
import { RpcClient } from "./client.js";
import type { RpcHandlers } from "./ops.js";
import { serveRpc } from "./server.js";

const agent_id = newAgentId();
const refuse = async (): Promise<never> => {
  throw new ConvocateError("SESSION_NOT_FOUND", "no such session");
};
const handlers: RpcHandlers = {
  ping: async () => ({
    agent_id,
    name: "a",
    release: "1.0.0",
    protocol: 1,
    time: new Date(0).toISOString(),
    image: null,
    uptime_s: 1,
    labels: {},
  }),
  list: async () => {
    await sleep(50);
    return { sessions: [] };
  },
  get: refuse,
  create: refuse,
  restart: refuse,
  kill: refuse,
  background: refuse,
  delete: refuse,
};

async function exchange(text: string): Promise<Record<string, unknown>[]> {
  const [client, server] = duplexPair();
  const served = serveRpc(server, handlers, { log: silentLog }).then(() => server.end());
  client.end(text);
  const answers: Record<string, unknown>[] = [];
  for await (const read of readLines(client))
    if ("line" in read) answers.push(JSON.parse(read.line) as Record<string, unknown>);
  await served;
  return answers;
}

test("one request without an id, then EOF, gets one answer without an id, then EOF", async () => {
  const answers = await exchange('{"op":"ping"}');
  expect(answers).toEqual([{ ok: true, result: expect.objectContaining({ agent_id }) }]);
});

test("many requests at once are answered in any order, each under its id", async () => {
  const answers = await exchange('{"id":1,"op":"list"}\n{"id":2,"op":"ping"}\n');
  expect(answers.map(({ id }) => id)).toEqual([2, 1]);
});

test.each([
  ["not json", "BAD_REQUEST"],
  ["[]", "BAD_REQUEST"],
  ['{"id":{},"op":"ping"}', "BAD_REQUEST"],
  ['{"id":5,"op":"fly"}', "UNKNOWN_OP"],
  ['{"id":5,"op":"__proto__"}', "UNKNOWN_OP"],
  ['{"id":5,"op":"get","params":{"id":"../../etc"}}', "BAD_PARAMS"],
  ['{"id":5,"op":"get","params":{"id":"6F9619FF-8B86-4D01-B42D-00CF4FC964FF"}}', "BAD_PARAMS"],
  ["[".repeat(900_000), "BAD_REQUEST"],
  [`{"id":5,"op":"ping","params":{"x":"${"y".repeat(1_100_000)}"}}`, "LINE_TOO_LONG"],
])("a bad line gets its code and the next one is answered (%#)", async (line, code) => {
  const answers = await exchange(`${line}\n{"id":9,"op":"ping"}\n`);
  expect(answers).toContainEqual(expect.objectContaining({ ok: false, code }));
  expect(answers).toContainEqual(expect.objectContaining({ id: 9, ok: true }));
});

test("the client gets results, the agent's error codes, and deadlines", async () => {
  const [clientEnd, serverEnd] = duplexPair();
  void serveRpc(serverEnd, { ...handlers, background: () => new Promise(() => undefined) }, { log: silentLog });
  const client = new RpcClient(clientEnd);
  const id = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff" as never;
  expect((await client.call("ping", {})).agent_id).toBe(agent_id);
  await expect(client.call("get", { id })).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
  await expect(client.call("background", { id }, { timeoutMs: 50 })).rejects.toMatchObject({ code: "TIMEOUT" });
  client.close();
  await expect(client.call("ping", {})).rejects.toMatchObject({ code: "CONNECTION_LOST" });
});

test("a call that waits when the connection breaks is told so", async () => {
  const [clientEnd, serverEnd] = duplexPair();
  const client = new RpcClient(clientEnd);
  const waiting = client.call("list", {});
  serverEnd.end();
  await expect(waiting).rejects.toMatchObject({ code: "CONNECTION_LOST" });
});
