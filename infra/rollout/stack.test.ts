import { expect, test } from "@jest/globals";
import automation from "@pulumi/pulumi/automation/index.js";
import { noStack, unselected } from "./stack.js";

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

test("a stack that is not there is told with those that there are, and with what makes one", () => {
  expect(noStack("prod", ["lab", "dev"])).toMatchObject({
    code: "BAD_USAGE",
    message: expect.stringMatching(
      /^there is no stack prod: there are dev, lab\. `convocate-host init-shell --host HOST --stack prod` makes one; .*PULUMI_BACKEND_URL/,
    ),
  });
  expect(noStack("prod", []).message).toContain("there is none here");
});
