import { Command } from "commander";
import { expect, jest, test } from "@jest/globals";
import type { Inventory } from "../../../infra/inventory/index.js";
import { run } from "../../output/run.js";
import { roll } from "./roll.js";

test("Ctrl-C in a rollout says that the same command completes it, whatever the engine says", async () => {
  let said = "";
  const write = jest.spyOn(process.stderr, "write").mockImplementation((text) => (said += String(text)) !== "");
  const rolling = { stack: "dev", inventory: {} as Inventory, leave: [], target: ["a"] };
  const update = new Command("update").action(async () => {
    process.emit("SIGINT");
    await roll(() => Promise.reject(new Error("it ended before it was done")), rolling);
  });
  try {
    expect(await run(new Command("prog").addCommand(update), ["update"])).toBe(130);
  } finally {
    write.mockRestore();
  }
  expect(said).toBe("prog: interrupted: run the same again, which completes it\n");
});
