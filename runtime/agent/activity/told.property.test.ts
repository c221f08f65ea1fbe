import { expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { evilJson, evilText, nested, prototypesAreClean } from "../../../test/support/hostile.js";
import { parseTold, Told } from "./told.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

test("whatever a session tells, it is a line that keeps the rules or nothing", () => {
  const fields = [...Object.keys(Told.shape), "__proto__", "unknown"];
  const line = fc.oneof(
    evilText(),
    fc.constant(nested(3_000)),
    fc
      .dictionary(fc.constantFrom(...fields), evilJson())
      .map((change) => JSON.stringify({ event: "Stop", at_ms: 1, ...change })),
  );
  fc.assert(
    fc.property(line, (text) => {
      const told = parseTold(text);
      if (told === null) return;
      expect(Told.parse(told)).toEqual(told);
      expect(Object.keys(told).every((key) => key in Told.shape)).toBe(true);
      expect(Number.isFinite(new Date(told.at_ms).getTime())).toBe(true);
    }),
    { numRuns: 500 },
  );
  expect(parseTold('{"event":"Stop","at_ms":1}')).toEqual({ event: "Stop", at_ms: 1 });
  expect(prototypesAreClean()).toBe(true);
});
