import { expect, test } from "@jest/globals";
import { parseInventory } from "../inventory/index.js";
import { excluded } from "./exclude.js";

const inventory = parseInventory(
  "cluster: x\nshell: { name: s, address: 10.0.0.1 }\nagents: [{ name: a, address: 10.0.0.2 }, { name: b, address: 10.0.0.3 }]\n",
  "x.yaml",
  { unpinned: true },
);

test("a host is left alone with everything that bears its name", () => {
  expect(excluded(inventory, ["a"])).toEqual(["**::a", "**::a/**"]);
});

test("a shell host that is only not meant still takes what an agent needs there, a silent one does not", () => {
  expect(excluded(inventory, ["s", "b"])).toEqual(["**::s", "**::s/**", "**::b", "**::b/**"]);
  const silent = excluded(inventory, ["s", "b"], { shellIsSilent: true });
  expect(silent).toContain("**::a/registration");
  expect(silent).toContain("**::a/ready");
  expect(silent).not.toContain("**::b/registration");
});
