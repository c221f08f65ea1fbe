import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";

const folder = mkdtempSync(join(tmpdir(), "convocate-scripts-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a line of bash with what the scripts share. */
const bash = (line: string, ...args: string[]): string => {
  const script = `source script/lib/common.sh; source script/lib/pulumi.sh; ${line}`;
  return execFileSync("bash", ["-euo", "pipefail", "-c", script, "test", ...args], { encoding: "utf8" });
};

test("the demo's stack is forgotten, and no other whose name begins alike", () => {
  const files = (stack: string): string[] => [
    `stacks/convocate/${stack}.json`,
    `stacks/convocate/${stack}.json.bak.attrs`,
    `history/convocate/${stack}/${stack}-1.history.json`,
    `backups/convocate/${stack}/${stack}.1.json`,
    `locks/organization/convocate/${stack}/1.json`,
  ];
  const others = [...files("dev2"), ...files("dev-prod"), ...files("prod")];
  for (const file of [...files("dev"), ...others]) {
    const path = join(folder, ".pulumi", file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, "{}");
  }
  const forget = (): string => bash('forget_stack "$@"', folder, "convocate", "dev");
  forget();
  const left = readdirSync(join(folder, ".pulumi"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(join(folder, ".pulumi/").length));
  expect(left.sort()).toEqual(others.sort());
  expect(forget).not.toThrow();
});
