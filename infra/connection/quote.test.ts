import { execFileSync } from "node:child_process";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { quoteArgv } from "./quote.js";

test("a real sh reads back exactly the arguments that were quoted, whatever they contain", () => {
  const word = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 20 }),
    fc.string({
      unit: fc.constantFrom("'", '"', "\\", "$", "`", "\n", " ", "*", "!", "~", "=", "-", ";", "é"),
      maxLength: 12,
    }),
  );
  const argument = word.filter((w) => !w.includes("\0") && w.isWellFormed());
  fc.assert(
    fc.property(fc.array(argument, { maxLength: 6 }), (words) => {
      const out = execFileSync("/bin/sh", ["-c", quoteArgv(["printf", "%s\\0", ...words])], { encoding: "utf8" });
      // printf with no argument prints its format once, with an empty string.
      expect(out).toBe(words.length === 0 ? "\0" : words.map((w) => `${w}\0`).join(""));
    }),
    { numRuns: 60 },
  );
});

test("plain words stay readable", () => {
  expect(quoteArgv(["systemctl", "is-active", "a@b.service", "a=b", ""])).toBe(
    "systemctl is-active a@b.service 'a=b' ''",
  );
});

test("a NUL byte and an empty command are refused", () => {
  expect(() => quoteArgv(["echo", "a\0b"])).toThrow("NUL");
  expect(() => quoteArgv([])).toThrow("program's name");
});
