import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { testFolder } from "../../../test/support/inventory.js";
import { roleOf } from "./install.js";

const { path: folder, file } = testFolder();

test("a host is an agent unless the inventory or --shell makes it the shell host, also on a fresh stack", () => {
  const inventory = file("install.yaml", "cluster: x\nshell: { name: s, address: 10.0.0.1 }\n");
  expect(roleOf(inventory, { host: "10.0.0.1" })).toBe("shell");
  expect(roleOf(inventory, { host: "10.0.0.2" })).toBe("agent");
  expect(roleOf(join(folder, "none.yaml"), { host: "10.0.0.1", shell: true })).toBe("shell");
  expect(() => roleOf(join(folder, "none.yaml"), { host: "10.0.0.2" })).toThrow(
    "begin one with convocate-host init-shell",
  );
});
