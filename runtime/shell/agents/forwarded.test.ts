import { expect, test } from "@jest/globals";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "../../../test/support/keys.js";
import { AgentId, newSessionId } from "../../domain/index.js";
import { readForwarded } from "./forwarded.js";

const A = AgentId.parse("agentaaa");

test("a session's lines are found among those of its agent's others, by time", async () => {
  using dir = tempDir();
  const [one, other] = [newSessionId(), newSessionId()];
  const at = (s: number): string => `2026-11-21T05:15:0${s}.123456+00:00`;
  const text = [
    `${at(1)} ${one} {"event":"start"}`,
    `${at(2)} convocate-agent ${one} is mentioned`,
    `${at(3)} ${other} not this one`,
    `${at(4)} ${one}   second`,
    "broken",
    `${at(5)} ${one} third`,
    "",
  ];
  writeFileSync(join(dir.path, `${A}.log`), text.join("\n"));
  const read = (options = {}) => readForwarded(dir.path, A, one, options);
  expect(await read()).toEqual([
    { timestamp: "2026-11-21T05:15:01.123Z", text: '{"event":"start"}' },
    { timestamp: "2026-11-21T05:15:04.123Z", text: "second" },
    { timestamp: "2026-11-21T05:15:05.123Z", text: "third" },
  ]);
  expect((await read({ lines: 1 }))?.map((line) => line.text)).toEqual(["third"]);
  expect((await read({ after: "2026-11-21T05:15:04.123Z" }))?.map((line) => line.text)).toEqual(["third"]);
  expect(await readForwarded(dir.path, AgentId.parse("agentbbb"), one)).toBeNull();
});

test("of a file that is too big its end is read, from a whole line on", async () => {
  using dir = tempDir();
  const one = newSessionId();
  const line = `2026-11-21T05:15:01.000Z ${one} ${"x".repeat(1000)}\n`;
  writeFileSync(join(dir.path, `${A}.log`), line.repeat(10_000));
  const lines = await readForwarded(dir.path, A, one, { lines: 5000 });
  expect(lines).toHaveLength(5000);
  expect(lines?.every(({ text }) => text.length === 1000)).toBe(true);
});
