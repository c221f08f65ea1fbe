import { expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { evilJson, prototypesAreClean } from "../../../test/support/hostile.js";
import { SessionId } from "../../domain/index.js";
import { AttachHeader } from "./header.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

test("a header of any fields is one that tmux and Docker can be given, or refused", () => {
  const good = { id: "7d9f1c1e-5b1f-4a57-9d3c-5f6f0d2f6f10", cols: 80, rows: 24 };
  const fields = [...Object.keys(AttachHeader.shape), "__proto__", "unknown"];
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...fields), evilJson(), { maxKeys: 2 }), (change) => {
      const parsed = AttachHeader.safeParse({ ...good, ...change });
      if (!parsed.success) return;
      const { id, cols, rows, term, mode, stream } = parsed.data;
      expect(SessionId.parse(id)).toBe(id);
      for (const size of [cols, rows]) expect(Number.isInteger(size) && size >= 1 && size <= 4096).toBe(true);
      expect(term).toMatch(/^[\w+.-]+$/);
      expect(["rw", "ro"]).toContain(mode);
      if (stream !== undefined) expect(stream).toMatch(/^[0-9a-fA-F-]{36}$/);
      expect(Object.keys(parsed.data).every((key) => key in AttachHeader.shape)).toBe(true);
    }),
    { numRuns: 500 },
  );
  expect(AttachHeader.safeParse(good).success).toBe(true);
  expect(prototypesAreClean()).toBe(true);
});
