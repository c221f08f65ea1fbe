import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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

test("a build is stale once a tag makes it another release, and where there is no git the package says which", () => {
  const root = join(folder, "checkout");
  // Where git itself runs the tests, its variables name another repository.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
  const run = (command: string, ...args: string[]): string =>
    execFileSync(command, args, { cwd: root, env, encoding: "utf8", stdio: "pipe" }).trim();
  const git = (...args: string[]): string =>
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.net", "-c", "core.hooksPath=/dev/null", ...args);
  const asked = (line: string): string => run("bash", "-euo", "pipefail", "-c", `source script/lib/common.sh; ${line}`);
  const build = (): void => writeFileSync(join(root, "dist/release"), `${asked("release")}\n`);
  const stale = (): string => asked("if build_is_stale; then echo stale; else echo fresh; fi");

  cpSync("script/lib/common.sh", join(root, "script/lib/common.sh"));
  mkdirSync(join(root, "dist"));
  writeFileSync(join(root, "package.json"), JSON.stringify({ name: "x", version: "3.0.0", engines: { version: "1" } }));
  expect(asked("release")).toBe("3.0.0");
  expect(stale()).toBe("stale");
  build();
  expect(stale()).toBe("fresh");

  git("init", "--quiet");
  git("commit", "--quiet", "--allow-empty", "--message", "one");
  expect(asked("release")).toBe(`3.0.0-g${git("rev-parse", "--short=8", "HEAD")}`);
  build();
  expect(stale()).toBe("fresh");
  git("tag", "v3.1.0");
  expect(stale()).toBe("stale");
  build();
  expect(asked("release")).toBe("3.1.0");
  expect(stale()).toBe("fresh");
});
