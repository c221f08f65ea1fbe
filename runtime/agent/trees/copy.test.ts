import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { pipeline } from "node:stream/promises";
import { copyHome } from "./copy.js";
import { refuseFull } from "./room.js";
import { pack, unpack } from "./tar.js";
import { walk } from "./tree.js";

let root: string;
let from: string;
let to: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-copy-"));
  from = join(root, "from");
  to = join(root, "to");
  mkdirSync(from, { mode: 0o700 });
});
// By rm, which takes away paths longer than the kernel takes at once.
afterEach(() => void execFileSync("rm", ["-rf", root]));

describe("copyHome", () => {
  test("keeps modes, times, links and hard links, and names with any byte", async () => {
    mkdirSync(join(from, "dir"));
    writeFileSync(join(from, "dir/file"), "text");
    chmodSync(join(from, "dir/file"), 0o4751);
    utimesSync(join(from, "dir/file"), 1_000_000_000, 1_234_567_890.125);
    linkSync(join(from, "dir/file"), join(from, "hard"));
    symlinkSync("/nowhere at all", join(from, "dangling"));
    writeFileSync(join(from, "-new\nline 'quote' ü"), "odd");
    utimesSync(join(from, "dir"), 1_000_000_000, 1_111_111_111);
    expect(await copyHome(from, to)).toEqual({ skipped: [], skipped_total: 0 });
    const file = lstatSync(join(to, "dir/file"));
    expect(file.mode & 0o7777).toBe(0o4751);
    expect(file.mtimeMs).toBe(1_234_567_890_125);
    expect(lstatSync(join(to, "dir")).mtimeMs).toBe(1_111_111_111_000);
    expect(lstatSync(join(to, "hard")).ino).toBe(file.ino);
    expect(readlinkSync(join(to, "dangling"))).toBe("/nowhere at all");
    expect(readFileSync(join(to, "-new\nline 'quote' ü"), "utf8")).toBe("odd");
    expect(lstatSync(to).mode & 0o7777).toBe(0o700);
    expect(readdirSync(to).sort()).toEqual(readdirSync(from).sort());
  });

  test("keeps a user's extended attributes", async () => {
    writeFileSync(join(from, "file"), "text");
    const python = (code: string): string =>
      execFileSync("python3", ["-c", `import os\n${code}`], { encoding: "utf8" });
    python(`os.setxattr(${JSON.stringify(join(from, "file"))}, "user.note", b"kept")`);
    await copyHome(from, to);
    expect(python(`print(os.getxattr(${JSON.stringify(join(to, "file"))}, "user.note"))`)).toContain("kept");
  });

  test("keeps a sparse file sparse", async () => {
    const file = openSync(join(from, "sparse"), "w");
    ftruncateSync(file, 2 * 1024 ** 3);
    writeSync(file, "end", 1024 ** 3);
    closeSync(file);
    await copyHome(from, to);
    const copy = lstatSync(join(to, "sparse"));
    expect(copy.size).toBe(2 * 1024 ** 3);
    expect(copy.blocks * 512).toBeLessThan(1024 ** 2);
  });

  test("leaves out sockets and FIFOs, waits for none of them, and names them", async () => {
    execFileSync("mkfifo", [join(from, "pipe")]);
    execFileSync("mkfifo", [join(from, "odd *[a] pipe")]);
    mkdirSync(join(from, "sub"));
    utimesSync(from, 1_000_000_000, 1_111_111_111);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(from, "sub/socket"), resolve));
    try {
      const skipped = await copyHome(from, to);
      expect(skipped.skipped_total).toBe(3);
      expect(skipped.skipped).toEqual(
        expect.arrayContaining([
          { path: "pipe", kind: "fifo" },
          { path: "sub/socket", kind: "socket" },
        ]),
      );
      expect(readdirSync(to)).toEqual(["sub"]);
      expect(lstatSync(to).mtimeMs).toBe(1_111_111_111_000);
      expect(readdirSync(join(to, "sub"))).toEqual([]);
    } finally {
      server.close();
    }
  });

  test("is not led out of the home by a link that takes a folder's place after the walk", async () => {
    const outside = join(root, "outside");
    for (const folder of [outside, join(from, "a"), to]) mkdirSync(folder);
    writeFileSync(join(outside, "key"), "the host's own");
    writeFileSync(join(from, "a/key"), "the session's");
    const tree = await walk(from);
    renameSync(join(from, "a"), join(from, "b"));
    symlinkSync(outside, join(from, "a"));
    const { signal } = new AbortController();
    const packing = pack(from, tree, signal, { changing: true });
    const unpacking = unpack(to, signal);
    // An unpacking tar that has all may end before its pipe was told so; its status says how it ended.
    await pipeline(packing.output, unpacking.input).catch(() => undefined);
    const [, { exitCode, said }] = await Promise.all([packing.done, unpacking.done]);
    expect({ exitCode, said }).toEqual({ exitCode: 0, said: "" });
    expect(readlinkSync(join(to, "a"))).toBe(outside);
    expect(readFileSync(join(to, "b/key"), "utf8")).toBe("the session's");
    expect(readdirSync(to).sort()).toEqual(["a", "b"]);
  });

  test("is not disturbed by files that come and go, and grow", async () => {
    for (let i = 0; i < 200; i++) writeFileSync(join(from, `still-${i}`), "x".repeat(2000));
    let n = 0;
    const churn = setInterval(() => {
      for (let i = 0; i < 20; i++) {
        n += 1;
        writeFileSync(join(from, `fleeting-${n}`), "y".repeat(n % 5000));
        rmSync(join(from, `fleeting-${n - 10}`), { force: true });
        writeFileSync(join(from, "grows"), "z".repeat(100), { flag: "a" });
      }
    }, 1);
    try {
      for (let round = 0; round < 5; round++) {
        const target = join(root, `to-${round}`);
        await copyHome(from, target);
        expect(readdirSync(target).filter((name) => name.startsWith("still-"))).toHaveLength(200);
      }
    } finally {
      clearInterval(churn);
    }
  });

  test("is refused before it begins where it would fill the disk", async () => {
    await expect(refuseFull(root, Number.MAX_SAFE_INTEGER)).rejects.toMatchObject({
      code: "DISK_FULL",
      message: expect.stringContaining(`but ${root} has`),
    });
    await refuseFull(root, 1024);
  });

  test("says in one line what it could not read: a path longer than the kernel takes", async () => {
    const deeper = `import os, sys\nos.chdir(sys.argv[1])\nfor _ in range(30): os.mkdir("d" * 200); os.chdir("d" * 200)`;
    execFileSync("python3", ["-c", deeper, from]);
    const refused = await copyHome(from, to).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "IO_ERROR", message: expect.stringMatching(/ENAMETOOLONG/) });
    expect((refused as Error).message.length).toBeLessThan(600);
  });

  test("says what failed: a source that is not there", async () => {
    await expect(copyHome(join(root, "nothing"), to)).rejects.toMatchObject({
      code: "IO_ERROR",
      message: expect.stringContaining(join(root, "nothing")),
    });
  });

  test("ends when it is told to", async () => {
    const over = new AbortController();
    over.abort(new Error("enough"));
    await expect(copyHome(from, to, over.signal)).rejects.toThrow();
  });
});
