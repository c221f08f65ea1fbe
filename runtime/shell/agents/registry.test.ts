import { expect, test } from "@jest/globals";
import { parseAddress } from "./registry.js";

test("an agent's address has port 222 unless it names one, and IPv6 with a port is bracketed", () => {
  expect(parseAddress("agent-1\n")).toEqual({ host: "agent-1", port: 222 });
  expect(parseAddress("10.0.0.1:2222")).toEqual({ host: "10.0.0.1", port: 2222 });
  expect(parseAddress("[fd00::1]:2222")).toEqual({ host: "fd00::1", port: 2222 });
  expect(parseAddress("[fd00::1]")).toEqual({ host: "fd00::1", port: 222 });
  expect(parseAddress("fd00::1")).toEqual({ host: "fd00::1", port: 222 });
});

test.each(["", "host:0", "host:70000", "host:x", "two words", "[fd00::1", "a:b"])("%j is no address", (text) => {
  expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
});
