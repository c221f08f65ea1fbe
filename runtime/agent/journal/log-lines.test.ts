import { expect, test } from "@jest/globals";
import { newSessionId } from "../../domain/index.js";
import { journalArgv, MAX_LOG_BYTES, parseJournal } from "./log-lines.js";

const at = (n: number): string => `2026-11-21T00:00:00.${String(n).padStart(6, "0")}Z`;
const us = (n: number): string => String(Date.parse("2026-11-21T00:00:00Z") * 1000 + n);
const entry = (n: number, message: unknown, more: Record<string, string> = {}): string =>
  JSON.stringify({ MESSAGE: message, __REALTIME_TIMESTAMP: us(n), ...more });

test("reads the journal's entries, oldest first, by the time they were said", () => {
  const said = [
    entry(9, [226, 130, 172, 27, 91, 109]),
    entry(3, "three"),
    "no entry",
    entry(8, "two", { _SOURCE_REALTIME_TIMESTAMP: us(2) }),
    entry(1, "one"),
    '{"__REALTIME_TIMESTAMP":"1"}',
  ];
  expect(parseJournal(said, null)).toEqual([
    { timestamp: at(1), text: "one" },
    { timestamp: at(2), text: "two" },
    { timestamp: at(3), text: "three" },
    { timestamp: at(9), text: "€" },
  ]);
});

test("leaves out what is not newer, to the microsecond", () => {
  const said = [entry(2, "two"), entry(1, "one")];
  expect(parseJournal(said, at(1)).map((line) => line.text)).toEqual(["two"]);
  expect(parseJournal(said, "2026-11-20T22:00:00.000001999-02:00").map((line) => line.text)).toEqual(["two"]);
});

test("no escape sequence and no control character gets through", () => {
  const nasty = "a\u001b[31mb\u001b]0;title\u0007c\u001b]2;x\u001b\\d\u001bce\u009b2Jf\rg\th\ni";
  expect(parseJournal([entry(1, nasty)], null)[0]?.text).toBe("abcde 2Jf g h i");
});

test("an answer is bounded: long lines are cut, and the newest are kept", () => {
  const said = Array.from({ length: 1000 }, (_, n) => entry(n, `${n} ${"x".repeat(10_000)}`)).reverse();
  const lines = parseJournal(said, null);
  const bytes = lines.reduce((sum, line) => sum + line.text.length + line.timestamp.length, 0);
  expect(bytes).toBeLessThanOrEqual(MAX_LOG_BYTES);
  expect(lines.length).toBeGreaterThan(400);
  expect(lines.at(-1)?.text).toMatch(/^999 x{1000}/);
});

test("asks for the newest, of the session's containers and of the agent's own word, and of nobody else's", () => {
  const id = newSessionId();
  const argv = journalArgv(id, 5, "2026-11-21T00:00:01.900000Z");
  expect(argv).toEqual(
    expect.arrayContaining(["--reverse", "--lines=5", `--since=@${Date.parse("2026-11-21T00:00:01Z") / 1000}`]),
  );
  const [agent, container] = argv
    .slice(argv.indexOf(`SYSLOG_IDENTIFIER=${id}`))
    .join(" ")
    .split(" + ");
  expect(agent).toBe(`SYSLOG_IDENTIFIER=${id} _SYSTEMD_UNIT=convocate-agent.service`);
  expect(container).toBe(`SYSLOG_IDENTIFIER=${id} CONTAINER_NAME=convocate-session-${id}`);
});
