import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { evilText } from "../../test/support/hostile.js";
import { formatAddress, parseAddress } from "./address.js";

test.each([
  ["shell.example\n", { host: "shell.example", port: 223 }],
  ["10.0.0.1:2230", { host: "10.0.0.1", port: 2230 }],
  ["[fe80::1]:2230", { host: "fe80::1", port: 2230 }],
  ["fe80::1", { host: "fe80::1", port: 223 }],
  ["[fe80::1]", { host: "fe80::1", port: 223 }],
])("reads %j", (text, expected) => expect(parseAddress(text, 223)).toEqual(expected));

test.each(["", "a b", "two words", "host:0", "host:70000", "host:x", ":223", "[fd00::1", "a:b"])("refuses %j", (text) =>
  expect(parseAddress(text, 223)).toBeNull(),
);

test("an address of any content is a host and a port that can be dialled, and reads the same when written again, or none", () => {
  const near = fc
    .tuple(
      fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), evilText()),
      fc.constantFrom("", ":", ":0", ":22", ":65536", ":1.5"),
    )
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.oneof(evilText(), near), (text) => {
      const address = parseAddress(text, 222);
      if (address === null) return;
      expect(address.host).toMatch(/^[0-9A-Za-z._:%-]+$/);
      expect(Number.isInteger(address.port) && address.port >= 1 && address.port <= 65535).toBe(true);
      expect(parseAddress(formatAddress(address), 1)).toEqual(address);
    }),
  );
});
