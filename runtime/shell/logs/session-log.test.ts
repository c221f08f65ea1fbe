import { beforeEach, afterEach, expect, test } from "@jest/globals";
import { appendFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { tempDir } from "../../../test/support/keys.js";
import { AgentId, newSessionId, type SessionId } from "../../domain/index.js";
import { readSessionLog } from "./session-log.js";

const A = AgentId.parse("agentaaa");
const B = AgentId.parse("agentbbb");
const [one, other] = [newSessionId(), newSessionId()];
const at = (n: number): string =>
  new Date(Date.parse("2026-11-21T05:00:00.000Z") + n * 1000).toISOString().replace("Z", "456+00:00");
const line = (n: number, text = `line ${n}`, session: SessionId = one): string => `${at(n)} ${session} ${text}\n`;
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);
const lines = (from: number, to: number): string =>
  range(from, to)
    .map((n) => line(n))
    .join("");

let dir: ReturnType<typeof tempDir>;
beforeEach(() => {
  dir = tempDir();
});
afterEach(() => dir[Symbol.dispose]());
const write = (name: string, content: string | Buffer): void => writeFileSync(join(dir.path, name), content);
const read = async (options: Partial<Parameters<typeof readSessionLog>[2]> = {}): Promise<string[] | undefined> =>
  (await readSessionLog(dir.path, one, { lines: 200, ...options }))?.map(({ text }) => text);

test("a session's lines are found among those of its agent's others, to the microsecond", async () => {
  write(
    `${A}.log`,
    [
      line(1, '{"event":"start"}'),
      `${at(2)} convocate-agent ${one} is mentioned\n`,
      line(3, "not this one", other),
      line(4, "  second"),
      "broken\n",
      line(5, "third"),
    ].join(""),
  );
  expect(await readSessionLog(dir.path, one, { lines: 10 })).toEqual([
    { timestamp: "2026-11-21T05:00:01.000456Z", text: '{"event":"start"}', agent_id: A },
    { timestamp: "2026-11-21T05:00:04.000456Z", text: "second", agent_id: A },
    { timestamp: "2026-11-21T05:00:05.000456Z", text: "third", agent_id: A },
  ]);
  expect(await read({ lines: 1 })).toEqual(["third"]);
  expect(await read({ after: "2026-11-21T05:00:04.000456Z" })).toEqual(["third"]);
  expect(await read({ after: "2026-11-21T06:00:04.000455+01:00" })).toEqual(["second", "third"]);
  expect(await readSessionLog(dir.path, newSessionId(), { lines: 10 })).toEqual([]);
});

test("a line that is still being written is not read until it is whole", async () => {
  write(`${A}.log`, line(1) + line(2).trimEnd());
  expect(await read()).toEqual(["line 1"]);
  appendFileSync(join(dir.path, `${A}.log`), "\n");
  expect(await read()).toEqual(["line 1", "line 2"]);
});

test("rotated files are gone through as far as it takes, the compressed ones when all is asked for", async () => {
  write(`${A}.log`, lines(8, 10));
  write(`${A}.log.1`, lines(6, 8));
  write(`${A}.log.2.gz`, gzipSync(lines(3, 6)));
  write(`${A}.log.10.gz`, gzipSync(lines(0, 3)));
  const texts = (from: number): string[] => range(from, 10).map((n) => `line ${n}`);
  expect(await read()).toEqual(texts(6));
  expect(await read({ whole: true })).toEqual(texts(0));
  expect(await read({ whole: true, lines: 5 })).toEqual(texts(5));
  expect(await read({ whole: true, after: at(4) })).toEqual(texts(5));
});

test("a session that moved has lines in two agents' files: together by time, each with its agent", async () => {
  write(`${A}.log`, line(1) + line(2));
  write(`${B}.log`, line(3) + line(4));
  write("quarantine.log", line(5, "from nobody"));
  const lines = await readSessionLog(dir.path, one, { lines: 3 });
  expect(lines?.map(({ agent_id, text }) => `${agent_id} ${text}`)).toEqual([
    `${A} line 2`,
    `${B} line 3`,
    `${B} line 4`,
  ]);
});

test("what rsyslog sent twice is told once, also across a rotation", async () => {
  write(`${A}.log.1`, line(1) + line(2));
  write(`${A}.log`, line(1) + line(2) + line(3) + line(2));
  expect(await read()).toEqual(["line 1", "line 2", "line 3"]);
});

test("of a big file only what is needed is read; lines are whole across blocks, and a line of megabytes is none", async () => {
  const filler = `${at(0)} ${other} ${"x".repeat(5000)}\n`;
  const big = [line(0, "too far back"), ...range(1, 60).flatMap((n) => [line(n), filler.repeat(50)])];
  write(`${A}.log`, big.join("") + line(60, `y${"z".repeat(3 * 1024 * 1024)}`) + line(61));
  expect(await read({ whole: true })).toEqual(["too far back", ...range(1, 60).map((n) => `line ${n}`), "line 61"]);
  const recent = (await read()) ?? [];
  expect(recent.at(-1)).toBe("line 61");
  expect(recent.length).toBeGreaterThan(10);
  expect(recent.length).toBeLessThan(50);
  expect(await read({ lines: 2 })).toEqual(["line 59", "line 61"]);
});

test("files that were not written since are not even opened, and no folder is no log", async () => {
  write(`${A}.log`, line(1));
  const old = new Date("2026-11-20T00:00:00Z");
  utimesSync(join(dir.path, `${A}.log`), old, old);
  expect(await read({ after: at(0) })).toEqual([]);
  expect(await readSessionLog(join(dir.path, "nothing"), one, { lines: 1 })).toBeNull();
});
