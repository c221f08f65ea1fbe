import { expect, test } from "@jest/globals";
import { KEY } from "../../../test/support/inventory.js";
import { parseInventory } from "../../../infra/inventory/read.js";
import { chosenHosts, heldAmong, refuseHeld } from "./hosts.js";

const at = (last: number): string => `address: 10.0.0.${last}, hostKey: ${KEY}`;
const inventory = parseInventory(
  `cluster: c
shell: { name: shell, ${at(1)} }
defaults: { labels: { site: home } }
agents:
  - { name: shell, ${at(1)}, labels: { room: attic } }
  - { name: a1, ${at(2)}, labels: { room: cellar }, release: v0.0.1 }
  - { name: a2, ${at(3)}, labels: { room: cellar, site: office } }
`,
  "/nowhere/c.yaml",
);
const names = (choice: Parameters<typeof chosenHosts>[1]): string[] =>
  chosenHosts(inventory, choice).map(({ name }) => name);

test("labels choose the agents that have all of them, those of defaults among them", () => {
  expect(names({ label: { room: "cellar" } })).toEqual(["a1", "a2"]);
  expect(names({ label: { room: "cellar", site: "home" } })).toEqual(["a1"]);
  expect(names({ label: { room: "attic" } })).toEqual(["shell"]);
  expect(names({})).toEqual(["shell", "a1", "a2"]);
  expect(names({ host: ["10.0.0.3", "shell"] })).toEqual(["shell", "a2"]);
});

test("labels that no agent has are answered with those that there are", () => {
  expect(() => names({ label: { room: "hall", site: "home" } })).toThrow(
    "no agent in the inventory has room=hall,site=home: it has " +
      "shell (room=attic,site=home), a1 (room=cellar,site=home), a2 (room=cellar,site=office)",
  );
  expect(() => names({ host: "a1", label: { room: "cellar" } })).toThrow("not both");
});

test("an agent that the inventory holds at another release cannot be named for ours, and is told among all", () => {
  expect(heldAmong(inventory, new Set(["shell", "a1", "a2"])).map(({ name }) => name)).toEqual(["a1"]);
  expect(heldAmong(inventory, new Set(["shell", "a2"]))).toEqual([]);
  expect(() => refuseHeld(inventory, new Set(["a2", "a1"]))).toThrow(
    /^a1 is held at 0\.0\.1 by the inventory; this checkout is .*: change or remove its release in .*c\.yaml, or run this in a checkout of that release$/,
  );
  expect(() => refuseHeld(inventory, new Set(["a2", "shell"]))).not.toThrow();
});
