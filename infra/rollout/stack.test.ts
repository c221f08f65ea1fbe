import { expect, test } from "@jest/globals";
import automation from "@pulumi/pulumi/automation/index.js";
import { unselected } from "./stack.js";

test("a stack is opened and made without becoming the one that is selected", async () => {
  const told: string[] = [];
  const stacks = unselected((argv) => Promise.resolve(told.push(argv.join(" "))));
  await stacks.selectStack("prod");
  await stacks.createStack("prod");
  expect(told).toEqual(["stack --show-name --stack prod", "stack init prod --secrets-provider passphrase --no-select"]);
});

test("the SDK has what runs them", () => {
  expect(automation.PulumiCommand.prototype).toHaveProperty("run");
});
