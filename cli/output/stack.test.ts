import { afterEach, expect, test } from "@jest/globals";
import { ConvocateError } from "../../runtime/domain/index.js";
import { findingsJson, findingsText } from "./findings.js";
import { errorLines } from "./run.js";
import { DEFAULT_STACK, namingStack, speakOf } from "./stack.js";

afterEach(() => speakOf(DEFAULT_STACK));

test("a command that is printed names its stack, unless it is the default", () => {
  const mend = "run convocate-host init-agent --host a1";
  expect(namingStack(mend)).toBe(mend);
  speakOf("prod");
  expect(namingStack(mend)).toBe("run convocate-host init-agent --host a1 --stack prod");
});

test.each([
  [
    "`convocate-host drain --host a --spread` moves it",
    "`convocate-host drain --host a --spread --stack prod` moves it",
  ],
  ["convocate-host doctor --host a says why", "convocate-host doctor --host a --stack prod says why"],
  ["run convocate-host init-shell first", "run convocate-host init-shell --stack prod first"],
  ["convocate-host plan --stack other", "convocate-host plan --stack other"],
  ["convocate-host: no host a", "convocate-host: no host a"],
  ["script/pulumi cancel --stack prod", "script/pulumi cancel --stack prod"],
])("%s: %s", (text, named) => {
  speakOf("prod");
  expect(namingStack(text)).toBe(named);
});

test("errors and findings say it", () => {
  speakOf("prod");
  const mend = "convocate-host init-shell --host s";
  const error = new ConvocateError("REFUSED", `do ${mend}`);
  expect(errorLines("convocate-host", error, false)).toEqual([`convocate-host: do ${mend} --stack prod`]);
  const findings = [{ host: "s", check: "dns", level: "fail", says: "x", mend }] as const;
  expect(findingsText(findings)).toContain(`mend: ${mend} --stack prod\n`);
  expect(JSON.parse(findingsJson("prod", findings))).toMatchObject({ findings: [{ mend: `${mend} --stack prod` }] });
});
