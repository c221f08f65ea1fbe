import { expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { EVIL_TEXTS, evilJson, evilNumber, evilText } from "../../test/support/hostile.js";
import { AgentId, newAgentId, newSessionId, SessionId } from "./ids.js";
import { DnsName, Limits, PublishedPort, RESERVED_PORTS, SessionName, WantedPort } from "./session.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

const LETTERS = Array.from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

test("a session's name is letters, digits, _ and -, and never an option", () => {
  const name = fc
    .tuple(fc.constantFrom(...LETTERS, "_"), fc.string({ unit: fc.constantFrom(...LETTERS, "_", "-"), maxLength: 63 }))
    .map((parts) => parts.join(""));
  fc.assert(fc.property(name, (text) => SessionName.safeParse(text).success));
  fc.assert(
    fc.property(evilText(), (text) => {
      const allowed = new Set([...LETTERS, "_", "-"]);
      const good =
        text.length >= 1 && text.length <= 64 && Array.from(text).every((one) => allowed.has(one)) && text[0] !== "-";
      expect(SessionName.safeParse(text).success).toBe(good);
    }),
  );
});

test("an id is one that we could have made, and no other text is an id", () => {
  const hex = new Set("0123456789abcdef");
  fc.assert(
    fc.property(fc.oneof(evilText(), fc.uuid()), (text) => {
      if (!SessionId.safeParse(text).success) return;
      expect(
        Array.from(text)
          .map((one) => (hex.has(one) ? "h" : one))
          .join(""),
      ).toBe("hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh");
    }),
  );
  for (const text of EVIL_TEXTS) expect(SessionId.safeParse(text).success).toBe(false);
  for (let i = 0; i < 100; i += 1) {
    expect(SessionId.safeParse(newSessionId()).success).toBe(true);
    expect(AgentId.safeParse(newAgentId()).success).toBe(true);
  }
  fc.assert(
    fc.property(evilText(), (text) => {
      if (AgentId.safeParse(text).success) expect(Array.from(text).every((one) => /[a-z0-9]/.test(one))).toBe(true);
    }),
  );
});

/** RFC 1123, 2.1, without a regular expression: labels of 1 to 63 letters, digits and hyphens, none at an end. */
function isDnsName(text: string): boolean {
  const inLabel = new Set("abcdefghijklmnopqrstuvwxyz0123456789-");
  return (
    text.length <= 253 &&
    text
      .split(".")
      .every(
        (label) =>
          label.length >= 1 &&
          label.length <= 63 &&
          Array.from(label).every((one) => inLabel.has(one)) &&
          !label.startsWith("-") &&
          !label.endsWith("-"),
      )
  );
}

test("a DNS name keeps RFC 1123, and comes out in lower case", () => {
  const near = fc
    .array(fc.string({ unit: fc.constantFrom("a", "Z", "9", "-", "_"), maxLength: 70 }), { maxLength: 6 })
    .map((labels) => labels.join("."));
  fc.assert(
    fc.property(fc.oneof(evilText(), fc.domain(), near), (text) => {
      const parsed = DnsName.safeParse(text);
      expect(parsed.success).toBe(isDnsName(text.toLowerCase()));
      if (parsed.success) expect(parsed.data).toBe(text.toLowerCase());
    }),
  );
});

test("a port is a whole number that is none of the host's own doors", () => {
  fc.assert(
    fc.property(fc.oneof(evilNumber(), fc.integer({ min: -10, max: 70_000 })), (port) => {
      const good = Number.isInteger(port) && port >= 0 && port <= 65535 && !RESERVED_PORTS.includes(port);
      expect(PublishedPort.safeParse(port).success).toBe(good);
      expect(WantedPort.safeParse(port).success).toBe(good || port === -1);
    }),
  );
  for (const port of [22, 222, 223, 65536, 1.5, NaN, Infinity, "80", null]) {
    expect(PublishedPort.safeParse(port).success).toBe(false);
    expect(WantedPort.safeParse(port).success).toBe(false);
  }
});

test("limits are finite, positive numbers, or there is no limit", () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom("cpus", "memory_bytes", "pids", "disk_bytes", "__proto__", "x"), evilJson()),
      (value) => {
        const parsed = Limits.safeParse(value);
        if (!parsed.success) return;
        for (const limit of Object.values(parsed.data))
          expect(limit === undefined || (limit > 0 && Number.isFinite(limit))).toBe(true);
        expect(Object.getPrototypeOf(parsed.data)).toBe(Object.prototype);
      },
    ),
  );
});
