import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { KEY, testFolder } from "../../../test/support/inventory.js";
import type { Connection } from "../../../infra/connection/index.js";
import { readInventory } from "../../../infra/inventory/index.js";
import { letGo, takenOut } from "./remove.js";

const { file } = testFolder();
const text =
  `# ours\ncluster: x\nshell: { name: s, address: 10.0.0.1, hostKey: ${KEY} }\nagents:\n` +
  `  - { name: a1, address: 10.0.0.2, hostKey: ${KEY} }\n  - { name: a2, address: 10.0.0.3, hostKey: ${KEY} }\n`;
const inventory = file("remove.yaml", text);

test("sessions are stopped only after a purge is confirmed", async () => {
  const told: string[] = [];
  const stdout = JSON.stringify({ sessions: [{ id: "1", name: "work" }] });
  const connection: Pick<Connection, "host" | "run"> = {
    host: { via: "local", name: "a1" },
    run: (argv) => {
      told.push(argv.join(" "));
      return Promise.resolve({ stdout, stderr: "", exitCode: 0 });
    },
  };
  const agents = readInventory(inventory).agents.slice(0, 1);
  const connections = new Map([["a1", connection as Connection]]);
  const stopped = (): boolean => told.some((line) => line.includes("docker stop"));
  // Nobody is here to confirm it.
  const { isTTY } = process.stdin;
  process.stdin.isTTY = false;
  try {
    const options = { stack: "dev", host: "a1", force: true, purge: true } as const;
    await expect(letGo(options, "a1", agents, connections)).rejects.toMatchObject({ code: "REFUSED" });
    expect(stopped()).toBe(false);
    await letGo({ ...options, yes: true }, "a1", agents, connections);
    expect(stopped()).toBe(true);
  } finally {
    process.stdin.isTTY = isTTY;
  }
});

test("an agent whose removal fails is in the inventory again, so that the same command finds it", async () => {
  const failing = takenOut(inventory, "a1", (without) => {
    expect(without.agents.map(({ name }) => name)).toEqual(["a2"]);
    return Promise.reject(new Error("cut"));
  });
  await expect(failing).rejects.toThrow("cut");
  expect(readFileSync(inventory, "utf8")).toBe(text);
  await takenOut(inventory, "a1", () => Promise.resolve());
  expect(readInventory(inventory).agents.map(({ name }) => name)).toEqual(["a2"]);
});
