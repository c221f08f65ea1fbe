import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { eventually } from "../../test/support/eventually.js";
import { followFile } from "./follow.js";

let above: string;
let folder: string;
let path: string;
beforeEach(async () => {
  above = await mkdtemp(join(tmpdir(), "convocate-follow-"));
  folder = join(above, "folder");
  path = join(folder, "file");
  await mkdir(folder);
  await writeFile(path, "1");
});
afterEach(async () => {
  await rm(above, { recursive: true });
});

/** What was read at each look, without what was read twice on end. */
function follow(): Disposable & { seen: string[] } {
  const seen: string[] = [];
  const followed = followFile(path, async () => {
    const text = await readFile(path, "utf8").catch(() => "none");
    if (text !== seen.at(-1)) seen.push(text);
  });
  return { seen, [Symbol.dispose]: () => followed[Symbol.dispose]() };
}

/** Well before it would be looked at without being told. */
const SOON_MS = 5_000;
async function soon(seen: string[], text: string): Promise<void> {
  await eventually(`${text} is seen`, () => Promise.resolve(seen.at(-1) === text), { timeoutMs: SOON_MS });
}

test("a file is looked at as soon as it is rewritten, replaced, removed or made", async () => {
  using followed = follow();
  await soon(followed.seen, "1");
  await writeFile(path, "2");
  await soon(followed.seen, "2");
  await writeFile(`${path}.part`, "3");
  await rename(`${path}.part`, path);
  await soon(followed.seen, "3");
  await rm(path);
  await soon(followed.seen, "none");
  await writeFile(path, "4");
  await soon(followed.seen, "4");
});

test("a folder that is put in the place of the old one is followed, and so is one that comes later", async () => {
  using followed = follow();
  await soon(followed.seen, "1");
  await rename(folder, `${folder}.old`);
  await soon(followed.seen, "none");
  await mkdir(folder);
  await writeFile(path, "2");
  await soon(followed.seen, "2");
  await rm(folder, { recursive: true });
  await mkdir(folder);
  await writeFile(path, "3");
  await soon(followed.seen, "3");
  await writeFile(path, "4");
  await soon(followed.seen, "4");
});

test("changes that come while it is looked at are looked at after that, one at a time, and none after the end", async () => {
  let running = 0;
  let looks = 0;
  const release: (() => void)[] = [];
  const followed = followFile(path, async () => {
    expect(++running).toBe(1);
    looks += 1;
    await new Promise<void>((resolve) => release.push(resolve));
    running -= 1;
  });
  await eventually("the first look", () => Promise.resolve(looks === 1));
  await writeFile(path, "2");
  await writeFile(path, "3");
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(looks).toBe(1);
  release.shift()?.();
  await eventually("the second look", () => Promise.resolve(looks === 2));
  followed[Symbol.dispose]();
  release.shift()?.();
  await writeFile(path, "4");
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(looks).toBe(2);
});
