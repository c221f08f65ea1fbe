import { expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { once } from "node:events";
import { duplexPair, type Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../../../test/support/eventually.js";
import { evilJson, evilText, nested, prototypesAreClean } from "../../../test/support/hostile.js";
import { isErrorCode, newAgentId, SessionId } from "../../domain/index.js";
import { silentLog, type Log } from "../log.js";
import { MAX_LINE_BYTES, readLines } from "../ndjson.js";
import { OPS, type Op, type RpcHandlers } from "./ops.js";
import { serveRpc } from "./server.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

/** What reached a handler: it was good, whatever it was sent as. */
let reached: { op: string; params: unknown }[] = [];
const handlers = Object.fromEntries(
  Object.keys(OPS).map((op) => [
    op,
    async (params: unknown) => {
      reached.push({ op, params });
      return {};
    },
  ]),
) as RpcHandlers;
handlers.ping = async () => ({
  agent_id: newAgentId(),
  name: "a",
  release: "1.0.0",
  protocol: 1,
  time: new Date(0).toISOString(),
  image: null,
  uptime_s: 1,
  labels: {},
});

interface Answer {
  id?: unknown;
  ok: boolean;
  code?: string;
  error?: string;
}

/** Sends the lines and a ping after them, and gives the answers to the lines; the ping's must be there. */
async function exchange(lines: readonly string[], log: Log = silentLog): Promise<Answer[]> {
  const [client, server] = duplexPair();
  const served = serveRpc(server, handlers, { log }).then(() => server.end());
  client.end(`${lines.map((line) => `${line}\n`).join("")}{"id":"last","op":"ping"}\n`);
  const answers: Answer[] = [];
  for await (const read of readLines(client)) if ("line" in read) answers.push(JSON.parse(read.line) as Answer);
  await served;
  expect(answers.find(({ id }) => id === "last")?.ok).toBe(true);
  return answers.filter(({ id }) => id !== "last");
}

function good(answers: readonly Answer[]): void {
  for (const { ok, code, error } of answers) {
    if (ok) continue;
    expect(isErrorCode(code)).toBe(true);
    expect(code).not.toBe("INTERNAL");
    expect(error?.length).toBeLessThan(1000);
  }
}

test("every line gets one answer with a code, and the request behind it its own", async () => {
  const line = fc.oneof(
    evilText(),
    evilJson().map((value) => JSON.stringify(value)),
    fc
      .record({ id: evilJson(), op: fc.oneof(evilJson(), fc.constantFrom(...Object.keys(OPS))), params: evilJson() })
      .map((value) => JSON.stringify(value)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 8 }), async (lines) => {
      const sent = lines.flatMap((one) => one.split("\n")).filter((one) => one.trim() !== "");
      const answers = await exchange(sent);
      expect(answers).toHaveLength(sent.length);
      good(answers);
    }),
    { numRuns: 300 },
  );
  expect(prototypesAreClean()).toBe(true);
});

/** The names of an op's params, in any of its forms. */
function fieldsOf(op: Op): string[] {
  const { params } = OPS[op];
  return "options" in params ? params.options.flatMap(({ shape }) => Object.keys(shape)) : Object.keys(params.shape);
}

test("no op is reached by params that break its rules, whatever is beside them", async () => {
  const fields = [...new Set(Object.keys(OPS).flatMap((op) => fieldsOf(op as Op)))];
  const id = "7d9f1c1e-5b1f-4a57-9d3c-5f6f0d2f6f10";
  const value = fc.oneof(evilJson(), fc.constantFrom<unknown>(id, "name", "request-1", 8080, "tcp", true, {}));
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.keys(OPS)),
      fc.dictionary(fc.constantFrom(...fields, "__proto__", "unknown"), value),
      async (op, params) => {
        reached = [];
        const [answer] = await exchange([JSON.stringify({ id: 1, op, params })]);
        good([answer!]);
        if (op === "ping") return;
        expect(reached).toHaveLength(answer!.ok ? 1 : 0);
        const given = reached[0]?.params as Record<string, unknown> | undefined;
        if (given === undefined) return;
        expect(OPS[op as Op].params.safeParse(given).success).toBe(true);
        if (fieldsOf(op as Op).includes("id")) expect(SessionId.safeParse(given["id"]).success).toBe(true);
        for (const key of Object.keys(given)) expect(fields).toContain(key);
        expect(Object.getPrototypeOf(given)).toBe(Object.prototype);
      },
    ),
    { numRuns: 500 },
  );
  expect(prototypesAreClean()).toBe(true);
});

test.each([
  ["deep arrays", `{"id":1,"op":"ping","params":${nested(100_000)}}`, "BAD_REQUEST"],
  ["deep arrays that never end", "[".repeat(500_000), "BAD_REQUEST"],
  ["NaN", '{"id":1,"op":"create","params":{"port":NaN}}', "BAD_REQUEST"],
  ["a number beyond all bounds", '{"id":1,"op":"create","params":{"port":1e999}}', "BAD_PARAMS"],
  ["__proto__ as an op", '{"id":1,"op":"__proto__"}', "UNKNOWN_OP"],
  ["a method of every object as an op", '{"id":1,"op":"toString"}', "UNKNOWN_OP"],
  ["an id of megabytes", `{"id":"${"x".repeat(500_000)}","op":"ping"}`, "BAD_REQUEST"],
  [
    "megabytes of unknown keys",
    `{"id":1,"op":"settings-set","params":{"changes":{"${"k".repeat(500_000)}":1}}}`,
    "BAD_PARAMS",
  ],
  ["a line that is too long", "x".repeat(MAX_LINE_BYTES + 1), "LINE_TOO_LONG"],
  ["a name with a dash first", '{"id":1,"op":"create","params":{"request_id":"12345678","name":"-rf"}}', "BAD_PARAMS"],
  ["null for an id", '{"id":1,"op":"delete","params":{"id":null}}', "BAD_PARAMS"],
  ["dots for an id", '{"id":1,"op":"delete","params":{"id":".."}}', "BAD_PARAMS"],
])("%s: an error with its code, logged once and short", async (_what, line, code) => {
  const said: unknown[] = [];
  const note = (fields: Record<string, unknown>, message: string): void => void said.push({ ...fields, message });
  const answers = await exchange([line], { info: note, warn: note, error: note });
  expect(answers.map((answer) => answer.code)).toEqual([code]);
  expect(said).toHaveLength(1);
  expect(JSON.stringify(said).length).toBeLessThan(1500);
});

test("bad lines without end are answered and do not fill the log", async () => {
  let said = 0;
  const log = { ...silentLog, info: () => void (said += 1) };
  const answers = await exchange(
    Array.from({ length: 5000 }, () => "{"),
    log,
  );
  expect(answers).toHaveLength(5000);
  expect(said).toBeLessThan(50);
});

/** A channel that stays open, and what is answered on it. */
function channel(requestTimeoutMs: number): { client: Duplex; answers: Answer[] } {
  const [client, server] = duplexPair();
  void serveRpc(server, handlers, { log: silentLog, requestTimeoutMs });
  const answers: Answer[] = [];
  void (async () => {
    for await (const read of readLines(client)) if ("line" in read) answers.push(JSON.parse(read.line) as Answer);
  })();
  return { client, answers };
}

test("a request that never ends is told so, once, and the next one is served", async () => {
  const { client, answers } = channel(50);
  client.write('{"id":1,"op":"pi');
  await eventually("answer 1", () => answers.length > 0);
  expect(answers).toEqual([expect.objectContaining({ ok: false, code: "TIMEOUT" })]);
  for (let i = 0; i < 10; i += 1) {
    client.write("more ");
    await sleep(20);
  }
  client.write('\n{"id":2,"op":"ping"}\n');
  await eventually("answer 2", () => answers.length > 1);
  expect(answers[1]).toMatchObject({ id: 2, ok: true });
  client.end();
});

test("a line without end is told to be too long while it still comes, once", async () => {
  const { client, answers } = channel(60_000);
  const piece = Buffer.alloc(64 * 1024, "x");
  for (let sent = 0; sent < 8 * MAX_LINE_BYTES; sent += piece.length)
    if (!client.write(piece)) await once(client, "drain");
  await eventually("answer 1", () => answers.length > 0);
  client.write('\n{"id":2,"op":"ping"}\n');
  await eventually("answer 2", () => answers.length > 1);
  expect(answers).toMatchObject([
    { ok: false, code: "LINE_TOO_LONG" },
    { id: 2, ok: true },
  ]);
  client.end();
});
