import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { treeDigest, walk } from "./tree.js";

const SOME = Array.from({ length: 40 }, (_, i) => `file-${String(i).padStart(2, "0")}`);

let root: string;
let home: string;
let outside: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-tree-"));
  home = join(root, "home");
  outside = join(root, "outside");
  mkdirSync(join(outside, "b"), { recursive: true });
  for (const folder of [outside, join(outside, "b")]) {
    execFileSync("mkfifo", [join(folder, "the host's pipe")]);
    writeFileSync(join(folder, "the host's file"), "x".repeat(4 * 1024 ** 2));
    for (const name of SOME) writeFileSync(join(folder, name), "the host's".repeat(10_000));
  }
  mkdirSync(join(home, "a/b"), { recursive: true });
  for (const name of SOME) for (const folder of ["a", "a/b"]) writeFileSync(join(home, folder, name), "the session's");
});
afterEach(() => void execFileSync("rm", ["-rf", root]));

/** A session that swaps `a` for a link to the host's folder, and back. */
const swap = (): void => {
  renameSync(join(home, "a"), join(home, "kept"));
  symlinkSync(outside, join(home, "a"));
};
const swapBack = (): void => {
  renameSync(join(home, "a"), join(home, "link"));
  renameSync(join(home, "kept"), join(home, "a"));
  execFileSync("rm", [join(home, "link")]);
};

/** A signal that is never aborted. A walk asks it before every step, and `act` is what happens then. */
function betweenSteps(act: (step: number) => void): AbortSignal {
  const { signal } = new AbortController();
  let step = 0;
  signal.throwIfAborted = () => act((step += 1));
  return signal;
}

describe("walk", () => {
  test("never tells of what is behind a link that takes a folder's place, at whatever step", async () => {
    let steps = 0;
    const whole = await walk(
      home,
      betweenSteps((step) => (steps = step)),
    );
    expect(whole.entries).toHaveLength(3 + 2 * SOME.length);
    expect(steps).toBeGreaterThan(2);
    for (let when = 1; when <= steps; when++) {
      let swapped = false;
      const found = await walk(
        home,
        betweenSteps((step) => {
          if (step === when) swap();
          swapped ||= step === when;
        }),
      );
      expect([when, swapped]).toEqual([when, true]);
      swapBack();
      expect(found.skipped).toEqual([]);
      expect(found.entries.map(({ path }) => path).filter((path) => path.includes("the host's"))).toEqual([]);
      expect(found.bytes).toBeLessThanOrEqual(whole.bytes);
    }
  });

  test("tells of all of a deep tree, a folder before what is in it, and holds few folders open", async () => {
    const deep = Array.from({ length: 200 }, (_, i) => `d${i % 10}`).join("/");
    mkdirSync(join(home, "deep", deep), { recursive: true });
    const folders = execFileSync("find", ["deep", "-type", "d"], { cwd: home, encoding: "utf8" }).trim().split("\n");
    // Behind the folder that is gone into first, so that each is come back to.
    for (const folder of folders) mkdirSync(join(home, folder, "later"));
    const before = readdirSync("/proc/self/fd").length;
    let most = 0;
    const found = await walk(
      home,
      betweenSteps(() => (most = Math.max(most, readdirSync("/proc/self/fd").length - before))),
    );
    const names = found.entries.map(({ path }) => path);
    expect(names.filter((path) => path.startsWith("./deep"))).toHaveLength(2 * folders.length);
    const told = new Set<string>();
    for (const path of names) {
      if (path !== ".") expect(told).toContain(path.slice(0, path.lastIndexOf("/")));
      told.add(path);
    }
    expect(most).toBeLessThan(80);
    expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before);
  });

  test("gives a tree up that has more in it than its list may hold, also where that is all FIFOs or in one folder", async () => {
    const entries = 3 + 2 * SOME.length;
    await expect(walk(home, undefined, entries)).resolves.toMatchObject({ skipped: [] });
    await expect(walk(home, undefined, entries - 1)).rejects.toMatchObject({ code: "IO_ERROR" });
    execFileSync("mkfifo", [join(home, "pipe")]);
    await expect(walk(home, undefined, entries)).rejects.toMatchObject({
      code: "IO_ERROR",
      message: expect.stringContaining(`more than ${entries} files`),
    });
  });
});

describe("treeDigest", () => {
  test("is of what is in the home, and fails where a link has taken a folder's place", async () => {
    const tree = await walk(home);
    const digest = await treeDigest(home, tree);
    expect(await treeDigest(home, await walk(home))).toBe(digest);
    writeFileSync(join(home, "a/b/file-00"), "the session'S");
    expect(await treeDigest(home, tree)).not.toBe(digest);
    execFileSync("sh", ["-c", "rm file-00 && mkfifo file-00"], { cwd: join(home, "a/b") });
    expect(await treeDigest(home, tree)).not.toBe(digest);
    swap();
    await expect(treeDigest(home, tree)).rejects.toMatchObject({ code: "ENOTDIR" });
  });
});
