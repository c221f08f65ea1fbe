import { expect, test } from "@jest/globals";
import { logEvent, parseLogEntry, readableLog } from "./log.js";

test("an event of a session is one line of JSON: what happened, when, and at most 200 characters of what there is to say", () => {
  const line = logEvent("container.created", { name: "alpha", port: 1001, dns_name: null }, 5);
  expect(JSON.parse(line)).toEqual({ event: "container.created", at_ms: 5, text: "name alpha, port 1001" });
  expect(line).not.toContain("\n");
  const long = logEvent("container.created", { name: `\u001b[2J\n${"x".repeat(500)}` }, 5);
  expect(parseLogEntry(long)?.text).toHaveLength(200);
  // Within JSON nothing can end the line, or reach a terminal.
  expect(long).toMatch(/^[\u0020-\u007e]+$/);
});

test("a line is read as event, tool and text; what is no such line is read as it is", () => {
  expect(readableLog('{"event":"PreToolUse","at_ms":1,"tool":"Bash","text":"touch made"}')).toBe(
    "PreToolUse Bash touch made",
  );
  expect(readableLog('{"event":"Stop","at_ms":1}')).toBe("Stop");
  for (const text of ["convocate-entrypoint: no", '{"half', "{}", "[1]", ""]) {
    expect(parseLogEntry(text)).toBeNull();
    expect(readableLog(text)).toBe(text);
  }
});
