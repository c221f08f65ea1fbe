import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { newSessionId, type SessionId } from "../../domain/index.js";
import { Homes } from "./homes.js";

let root: string;
let homes: Homes;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-homes-"));
  homes = new Homes(root, { uid: process.getuid!(), gid: process.getgid!() });
});
afterEach(() => rmSync(root, { recursive: true }));

describe("Homes", () => {
  test("make a new home from the skel, with its links as links, and closed to others", async () => {
    mkdirSync(join(root, ".skel/dir"), { recursive: true });
    writeFileSync(join(root, ".skel/dir/file"), "text", { mode: 0o640 });
    symlinkSync("dir/file", join(root, ".skel/link"));
    const id = newSessionId();
    await homes.prepare(id);
    expect(existsSync(homes.path(id))).toBe(false);
    await homes.settle(id);
    expect(readFileSync(join(homes.path(id), "dir/file"), "utf8")).toBe("text");
    expect(lstatSync(join(homes.path(id), "dir/file")).mode & 0o777).toBe(0o640);
    expect(readlinkSync(join(homes.path(id), "link"))).toBe("dir/file");
    expect(lstatSync(homes.path(id)).mode & 0o777).toBe(0o700);
    expect(readdirSync(root).sort()).toEqual([".skel", id].sort());
  });

  test("make a home of its own from a skel that is a link", async () => {
    mkdirSync(join(root, "elsewhere"), { mode: 0o755 });
    writeFileSync(join(root, "elsewhere/file"), "text");
    symlinkSync("elsewhere", join(root, ".skel"));
    const id = newSessionId();
    await homes.prepare(id);
    await homes.settle(id);
    expect(lstatSync(homes.path(id)).isDirectory()).toBe(true);
    expect(readFileSync(join(homes.path(id), "file"), "utf8")).toBe("text");
    expect(lstatSync(join(root, "elsewhere")).mode & 0o777).toBe(0o755);
  });

  test("make an empty home when there is no skel", async () => {
    const id = newSessionId();
    await homes.prepare(id);
    await homes.settle(id);
    expect(readdirSync(homes.path(id))).toEqual([]);
  });

  test("build no path from anything but a session's id", async () => {
    for (const bad of ["", "..", "../x", "a/../../x", "null"]) {
      expect(() => homes.path(bad as SessionId)).toThrow();
      await expect(homes.remove(bad as SessionId)).rejects.toThrow();
    }
    expect(existsSync(root)).toBe(true);
  });

  test("remove a link in a home's place, not what it points at", async () => {
    const other = mkdtempSync(join(tmpdir(), "convocate-other-"));
    try {
      writeFileSync(join(other, "precious"), "");
      const id = newSessionId();
      symlinkSync(other, homes.path(id));
      await expect(homes.check(id)).rejects.toMatchObject({ code: "IO_ERROR" });
      await homes.setAside(id);
      await homes.remove(id);
      expect(existsSync(homes.path(id))).toBe(false);
      expect(existsSync(join(other, "precious"))).toBe(true);
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  test("set a home aside whole, bring it back, and say what is left after a crash", async () => {
    const [waiting, id] = [newSessionId(), newSessionId()];
    await homes.prepare(waiting);
    await homes.prepare(id);
    await homes.settle(id);
    writeFileSync(join(homes.path(id), "file"), "text");
    await homes.setAside(id);
    await homes.setAside(id);
    expect(await homes.exists(id)).toBe(false);
    expect(await homes.leftovers()).toEqual({ unfinished: [waiting], setAside: [id] });
    await homes.bringBack(id);
    expect(readFileSync(join(homes.path(id), "file"), "utf8")).toBe("text");
    expect(await homes.leftovers()).toEqual({ unfinished: [waiting], setAside: [] });
    await homes.bringBack(id);
  });

  test("make mount points where nothing is, and leave alone what is there", async () => {
    const id = newSessionId();
    await homes.prepare(id);
    await homes.settle(id);
    symlinkSync("/nowhere", join(homes.path(id), ".ssh"));
    await homes.makeMountPoints(id, [
      { path: ".ssh", directory: true },
      { path: ".claude-shared", directory: true },
      { path: ".gitconfig", directory: false },
    ]);
    expect(lstatSync(join(homes.path(id), ".ssh")).isSymbolicLink()).toBe(true);
    expect(lstatSync(join(homes.path(id), ".claude-shared")).isDirectory()).toBe(true);
    expect(lstatSync(join(homes.path(id), ".gitconfig")).isFile()).toBe(true);
  });
});
