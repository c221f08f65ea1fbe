import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { bootId } from "./boot-id.js";

test("a boot is told by the kernel's id and by when process 1 began, whatever that is called", () => {
  const proc = mkdtempSync(join(tmpdir(), "convocate-proc-"));
  const boot = (kernel: string, name: string, began: number): string => {
    mkdirSync(join(proc, "sys/kernel/random"), { recursive: true });
    mkdirSync(join(proc, "1"), { recursive: true });
    writeFileSync(join(proc, "sys/kernel/random/boot_id"), `${kernel}\n`);
    writeFileSync(join(proc, "1/stat"), `1 (${name}) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 ${began} 100 200\n`);
    return bootId(proc);
  };
  try {
    const first = boot("k1", "systemd", 7);
    expect(boot("k1", "a ) b (", 7)).toBe(first);
    expect(boot("k1", "systemd", 8)).not.toBe(first);
    expect(boot("k2", "systemd", 7)).not.toBe(first);
  } finally {
    rmSync(proc, { recursive: true });
  }
});

test("the same boot has the same id each time", () => {
  expect(bootId()).toBe(bootId());
  expect(bootId()).toMatch(/^[0-9a-f-]{36}\/\d+$/);
});
