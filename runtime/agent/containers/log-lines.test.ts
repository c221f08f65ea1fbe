import { expect, test } from "@jest/globals";
import { MAX_LOG_BYTES, nanoseconds, parseLogLines } from "./log-lines.js";

const at = (n: number): string => `2026-11-21T00:00:00.${String(n).padStart(9, "0")}Z`;

test("reads Docker's lines, oldest first, whichever output they are of", () => {
  const text = `${at(1)} one\n${at(3)} three\n${at(2)} two\n${at(4)} \n`;
  expect(parseLogLines(text, null)).toEqual([
    { timestamp: at(1), text: "one" },
    { timestamp: at(2), text: "two" },
    { timestamp: at(3), text: "three" },
    { timestamp: at(4), text: "" },
  ]);
});

test("leaves out what is not newer, to the nanosecond, and what has no time", () => {
  const text = `${at(1)} one\nno time at all\n${at(2)} two\n`;
  expect(parseLogLines(text, at(1)).map((line) => line.text)).toEqual(["two"]);
  expect(parseLogLines(text, "2026-11-20T22:00:00.000000001-02:00").map((line) => line.text)).toEqual(["two"]);
  expect(nanoseconds("1970-01-01T00:00:01.5Z")).toBe(1_500_000_000n);
});

test("no escape sequence and no control character gets through", () => {
  const nasty = `${at(1)} a\u001b[31mb\u001b]0;title\u0007c\u001b]2;x\u001b\\d\u001bce\u009b2Jf\rg\tz\n`;
  expect(parseLogLines(nasty, null)[0]?.text).toBe("abcde2Jfg\tz");
});

test("an answer is bounded: long lines are cut, and the newest are kept", () => {
  const text = Array.from({ length: 1000 }, (_, n) => `${at(n)} ${n} ${"x".repeat(10_000)}`).join("\n");
  const lines = parseLogLines(text, null);
  const bytes = lines.reduce((sum, line) => sum + line.text.length + line.timestamp.length, 0);
  expect(bytes).toBeLessThanOrEqual(MAX_LOG_BYTES);
  expect(lines.length).toBeGreaterThan(400);
  expect(lines.at(-1)?.text).toMatch(/^999 x{1000}/);
});
