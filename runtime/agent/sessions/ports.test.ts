import { describe, expect, test } from "@jest/globals";
import { choosePort, refuseReserved, type PortUse } from "./ports.js";

const use = (port: number, protocol: "tcp" | "udp" = "tcp"): PortUse => ({
  id: `id-${port}`,
  name: `n${port}`,
  port,
  protocol,
});

describe("choosePort", () => {
  test("leaves 0 as none, however many have none", () => {
    expect(choosePort(0, "tcp", [use(0), use(0)], [22])).toBe(0);
  });
  test("takes the first free one from 1001 up for -1, filling gaps", () => {
    expect(choosePort(-1, "tcp", [], [22])).toBe(1001);
    expect(choosePort(-1, "tcp", [use(1001), use(1003), use(80)], [22])).toBe(1002);
  });
  test("counts tcp and udp apart", () => {
    expect(choosePort(1001, "udp", [use(1001, "tcp")], [22])).toBe(1001);
    expect(choosePort(-1, "udp", [use(1001, "tcp")], [22])).toBe(1001);
  });
  test("says whose a taken port is", () => {
    expect(() => choosePort(8080, "tcp", [use(8080)], [22])).toThrow(
      expect.objectContaining({ code: "PORT_TAKEN", message: expect.stringContaining("n8080") }),
    );
  });
  test("says so when every port is taken", () => {
    const all = Array.from({ length: 65535 - 1000 }, (_, at) => use(1001 + at));
    expect(() => choosePort(-1, "tcp", all, [22])).toThrow(expect.objectContaining({ code: "PORT_TAKEN" }));
  });
  test("gives nobody a port of the host's own for -1", () => {
    expect(choosePort(-1, "tcp", [use(1001)], [22, 1002, 1003])).toBe(1004);
    expect(choosePort(-1, "udp", [], [1001])).toBe(1002);
  });
});

test("a port of the host's own is refused with whose it is, and every other is not", () => {
  for (const port of [0, -1, 1001, 65535]) refuseReserved(port, [22, 2222]);
  expect(() => refuseReserved(2222, [22, 2222])).toThrow(
    expect.objectContaining({ code: "PORT_TAKEN", message: expect.stringContaining("this host's own (22, 2222)") }),
  );
});
