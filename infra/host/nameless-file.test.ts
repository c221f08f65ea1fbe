import { expect, test } from "@jest/globals";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { NamelessFile } from "./nameless-file.js";

test("a nameless file is in no folder, is read side by side, and outlives a reader and a writer that gave up", async () => {
  const before = process.env.CONVOCATE_CACHE;
  const folder = mkdtempSync(join(tmpdir(), "convocate-nameless-"));
  process.env.CONVOCATE_CACHE = folder;
  const file = await NamelessFile.open();
  try {
    expect(readdirSync(folder)).toEqual([]);
    const content = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => i % 251));
    await pipeline(Readable.from([content.subarray(0, 3), content.subarray(3)]), file.write(0));
    const failing = Readable.from(
      (async function* () {
        yield content;
        throw new Error("gone");
      })(),
    );
    await expect(pipeline(failing, file.write(content.length))).rejects.toThrow("gone");
    for await (const chunk of file.read(0, content.length)) {
      expect(chunk).not.toHaveLength(0);
      break;
    }
    const [all, part] = await Promise.all([buffer(file.read(0, content.length)), buffer(file.read(500_000, 300_000))]);
    expect(all.equals(content)).toBe(true);
    expect(part.equals(content.subarray(500_000, 800_000))).toBe(true);
    expect(await buffer(file.read(5, 0))).toHaveLength(0);
    await expect(buffer(file.read(1_999_999, 2))).rejects.toMatchObject({ code: "IO_ERROR" });
  } finally {
    await file.close();
    rmSync(folder, { recursive: true });
    if (before === undefined) delete process.env.CONVOCATE_CACHE;
    else process.env.CONVOCATE_CACHE = before;
  }
});
