import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { newSessionId } from "../../domain/index.js";
import { silentLog } from "../../protocol/log.js";
import { systemClock } from "../clock.js";
import { LockFiles, hostOwners, type LockRecord } from "./lock-files.js";
import { Locks } from "./locks.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "convocate-locks-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const record = (change: Partial<LockRecord> = {}): LockRecord => ({
  id: newSessionId(),
  operation: "restart",
  since: "2026-11-21T12:00:00.000Z",
  process: hostOwners().self,
  note: {},
  ...change,
});

describe("LockFiles", () => {
  test("an operation in flight is on disk with its process, and gone when it ends", async () => {
    const files = new LockFiles(folder, silentLog);
    const locks = new Locks(systemClock, 200, files);
    const id = newSessionId();
    await locks.run(
      id,
      "delete",
      async () => {
        const seen = await new LockFiles(folder, silentLog).read();
        expect(seen).toMatchObject([{ id, operation: "delete", process: { pid: process.pid }, note: { name: "one" } }]);
      },
      { name: "one" },
    );
    expect(readdirSync(folder)).toEqual([]);
    await expect(locks.run(id, "kill", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("ignores what is no lock, and says which", async () => {
    const good = record();
    writeFileSync(join(folder, `${good.id}.json`), JSON.stringify(good));
    writeFileSync(join(folder, `${newSessionId()}.json`), JSON.stringify(record()));
    writeFileSync(join(folder, `${newSessionId()}.json`), "{");
    writeFileSync(join(folder, "..json"), JSON.stringify(good));
    const said: unknown[] = [];
    const files = new LockFiles(folder, { ...silentLog, warn: (fields) => void said.push(fields["file"]) });
    expect(await files.read()).toEqual([good]);
    expect(said).toHaveLength(2);
  });

  test("a folder that cannot be written keeps nobody from working", async () => {
    const said: string[] = [];
    const log = { ...silentLog, warn: (_fields: unknown, message: string) => void said.push(message) };
    const locks = new Locks(systemClock, 200, new LockFiles(join(folder, "missing"), log));
    expect(await locks.run(newSessionId(), "delete", async () => 1)).toBe(1);
    expect(said).toEqual(["the lock of an operation is not on disk"]);
  });

  test("tells its own process and a live one from one that is gone, from a later one of that number, and from another boot", async () => {
    const { self, alive } = hostOwners();
    expect(alive(self)).toBe(true);
    expect(alive({ ...self, started: "1" })).toBe(false);
    expect(alive({ ...self, boot_id: "another" })).toBe(false);
    expect(alive({ ...self, pid: 0 })).toBe(false);
    const child = spawn("sleep", ["60"]);
    await once(child, "spawn");
    const stat = readFileSync(`/proc/${child.pid ?? 0}/stat`, "utf8");
    const mark = { ...self, pid: child.pid ?? 0, started: stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "" };
    expect(alive(mark)).toBe(true);
    child.kill("SIGKILL");
    await once(child, "close");
    expect(alive(mark)).toBe(false);
  });
});

describe("a lock that an earlier agent left", () => {
  test("of a process that lives is refused to everybody, and cleared by force only", async () => {
    const files = new LockFiles(folder, silentLog);
    const locks = new Locks(systemClock, 200, files);
    const left = record();
    locks.leave(left);
    expect(locks.holder(left.id)).toMatchObject({ operation: "restart", stale: false });
    await expect(locks.run(left.id, "kill", async () => 1)).rejects.toMatchObject({ code: "SESSION_LOCKED" });
    await expect(locks.clear(left.id, false, async () => undefined)).rejects.toMatchObject({ code: "SESSION_LOCKED" });
    await locks.clear(left.id, true, async () => undefined);
    expect(locks.holder(left.id)).toBeUndefined();
    expect(await locks.run(left.id, "kill", async () => 1)).toBe(1);
  });

  test("stays when taking it back fails", async () => {
    const files = new LockFiles(folder, silentLog);
    const locks = new Locks(systemClock, 200, files);
    const left = record({ operation: "delete", process: { ...files.owners.self, pid: 0 } });
    locks.leave(left);
    const undo = (): Promise<void> => Promise.reject(new Error("no"));
    await expect(locks.clear(left.id, false, undo)).rejects.toThrow("no");
    expect(locks.holder(left.id)).toMatchObject({ operation: "delete", stale: true });
  });
});
