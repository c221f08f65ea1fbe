import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { AgentSettings, SettingsWanted } from "../domain/index.js";
import { silentLog } from "../protocol/log.js";
import { LiveSettings } from "./settings.js";

const stack = AgentSettings.parse({ name: "a", capacity: { cpu_percent: 80 } });
let root: string;
let path: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-settings-"));
  path = join(root, "settings.json");
});
afterEach(() => rmSync(root, { recursive: true }));

test("without changes, what the stack says is in force", async () => {
  const settings = await LiveSettings.open(stack, path, silentLog);
  expect(settings.changes()).toEqual({});
  expect(settings.current()).toEqual(stack);
  expect(settings.effective()).toEqual({
    cpu_percent: 80,
    memory_percent: 90,
    disk_percent: 90,
    cpus: 0.5,
    memory_bytes: 2 * 1024 ** 3,
    disk_bytes: 5 * 1024 ** 3,
    pids: 4096,
  });
});

test("a change is in force at once and after a restart; null takes it back; what is left out stays", async () => {
  const settings = await LiveSettings.open(stack, path, silentLog);
  await settings.change({ cpu_percent: 50, pids: 100 });
  await settings.change({ cpu_percent: null, memory_bytes: 128 * 1024 * 1024 });
  expect(settings.effective()).toMatchObject({ cpu_percent: 80, pids: 100, memory_bytes: 128 * 1024 * 1024 });
  expect(settings.current().session.limits).toEqual({ memory_bytes: 128 * 1024 * 1024, pids: 100 });
  const again = await LiveSettings.open(stack, path, silentLog);
  expect(again.changes()).toEqual({ pids: 100, memory_bytes: 128 * 1024 * 1024 });
  expect(again.effective()).toEqual(settings.effective());
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a cordoned agent refuses what is new, also after a restart, and says what ends that", async () => {
  const settings = await LiveSettings.open(stack, path, silentLog);
  settings.refuseNew();
  await settings.change({ cordoned: true });
  const again = await LiveSettings.open(stack, path, silentLog);
  expect(again.cordoned()).toBe(true);
  expect(() => again.refuseNew()).toThrow(
    expect.objectContaining({
      code: "REFUSED",
      message: expect.stringContaining("`convocate settings a cordoned=no`"),
    }),
  );
  await again.change({ cordoned: false });
  again.refuseNew();
});

test("changes at the same time are all kept", async () => {
  const settings = await LiveSettings.open(stack, path, silentLog);
  await Promise.all([
    settings.change({ pids: 100 }),
    settings.change({ cpus: 2 }),
    settings.change({ disk_percent: 10 }),
  ]);
  expect((await LiveSettings.open(stack, path, silentLog)).changes()).toEqual({ pids: 100, cpus: 2, disk_percent: 10 });
});

test("one that cannot be written is an IO_ERROR that names the file, and is not in force", async () => {
  const settings = await LiveSettings.open(stack, join(root, "missing", "settings.json"), silentLog);
  await expect(settings.change({ pids: 100 })).rejects.toMatchObject({
    code: "IO_ERROR",
    message: expect.stringContaining(join(root, "missing", "settings.json")),
  });
  expect(settings.effective().pids).toBe(4096);
  await expect(settings.change({ pids: 99 })).rejects.toMatchObject({ code: "IO_ERROR" });
});

test("what a later release keeps in the file is passed over, and the rest is in force", async () => {
  writeFileSync(path, '{"pids": 99, "cordoned": true, "of_tomorrow": 1}');
  const settings = await LiveSettings.open(stack, path, silentLog);
  expect(settings.effective().pids).toBe(99);
  expect(settings.changes()).toMatchObject({ cordoned: true });
  expect(SettingsWanted.safeParse({ of_tomorrow: 1 }).success).toBe(false);
});

test("a broken file is logged, and the stack's settings are in force", async () => {
  writeFileSync(path, '{"pids": "many"}');
  const said: unknown[] = [];
  const settings = await LiveSettings.open(stack, path, {
    ...silentLog,
    error: (fields) => void said.push(fields["why"]),
  });
  expect(settings.current()).toEqual(stack);
  expect(said).toEqual([expect.stringContaining("pids")]);
});
