import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { zstdCompressSync } from "node:zlib";
import { MAX_FRAME_BYTES, writeFrame, writeTrailer } from "../../protocol/rpc/archive.js";
import { receiveEntries } from "./flow.js";

let root: string;
let inside: string;
let outside: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-flow-"));
  inside = join(root, "inside");
  outside = join(root, "outside");
  for (const folder of [inside, outside, join(root, "made")]) mkdirSync(folder);
  writeFileSync(join(outside, "precious"), "precious");
});
afterEach(() => rmSync(root, { recursive: true }));

/** Sends what a hostile or broken agent might, with sums that fit. */
async function receive(archive: Buffer, change: { bytes?: number; sha256?: string; packed?: Buffer } = {}) {
  const [from, to] = duplexPair();
  const receiving = receiveEntries(to, inside, { signal: new AbortController().signal, stallMs: 2_000 });
  receiving.catch(() => undefined);
  const packed = change.packed ?? zstdCompressSync(archive);
  const sending = (async () => {
    for (let at = 0; at < packed.length; at += MAX_FRAME_BYTES)
      await writeFrame(from, { payload: packed.subarray(at, at + MAX_FRAME_BYTES), position: 0 });
    await writeTrailer(from, {
      ok: true,
      sha256: change.sha256 ?? createHash("sha256").update(archive).digest("hex"),
      bytes: change.bytes ?? archive.length,
      tree_sha256: null,
      skipped: [],
      skipped_total: 0,
    });
  })();
  sending.catch(() => undefined);
  return await receiving;
}

/** An archive made in `made`, with whatever names tar can be talked into. */
function tar(...argv: string[]): Buffer {
  return execFileSync("tar", ["--create", "--file=-", `--directory=${join(root, "made")}`, ...argv], {
    stdio: ["ignore", "pipe", "ignore"],
  });
}

const untouched = (): void => {
  expect(readdirSync(outside)).toEqual(["precious"]);
  expect(readdirSync(root).sort()).toEqual(["inside", "made", "outside"]);
};

test("an absolute name lands inside", async () => {
  await receive(tar("--absolute-names", join(outside, "precious"))).catch(() => undefined);
  untouched();
  expect(existsSync(join(inside, outside, "precious"))).toBe(true);
});

test("a name with .. is refused", async () => {
  writeFileSync(join(root, "made/x"), "evil");
  const archive = tar("--absolute-names", "--transform=s,^x,../outside/x,", "x");
  await expect(receive(archive)).rejects.toMatchObject({ code: "BAD_ARCHIVE" });
  untouched();
});

test("nothing is written through a link that the archive brought", async () => {
  symlinkSync(outside, join(root, "made/way"));
  const link = join(root, "link.tar");
  writeFileSync(link, tar("way"));
  rmSync(join(root, "made/way"));
  mkdirSync(join(root, "made/way"));
  writeFileSync(join(root, "made/way/evil"), "evil");
  execFileSync("tar", ["--append", `--file=${link}`, `--directory=${join(root, "made")}`, "way/evil"]);
  const archive = execFileSync("cat", [link]);
  rmSync(link);
  await receive(archive).catch(() => undefined);
  untouched();
});

test("a hard link to a file outside gives no way to it", async () => {
  writeFileSync(join(root, "made/a"), "a");
  execFileSync("ln", [join(root, "made/a"), join(root, "made/b")]);
  const target = join(outside, "precious");
  await receive(tar("--absolute-names", `--transform=flags=h;s,^a$,${target},`, "a", "b")).catch(() => undefined);
  untouched();
  expect(execFileSync("stat", ["-c", "%h", target], { encoding: "utf8" }).trim()).toBe("1");
});

test("sums that differ, an archive cut short and bytes that are none are refused", async () => {
  writeFileSync(join(root, "made/x"), "x".repeat(100_000));
  const archive = tar("x");
  await expect(receive(archive, { sha256: "00" })).rejects.toMatchObject({ code: "BAD_ARCHIVE" });
  await expect(receive(archive, { bytes: 1 })).rejects.toMatchObject({ code: "BAD_ARCHIVE" });
  await expect(receive(archive.subarray(0, 5_000))).rejects.toMatchObject({ code: "BAD_ARCHIVE" });
  await expect(receive(archive, { packed: Buffer.from("no zstd at all") })).rejects.toMatchObject({
    code: "BAD_ARCHIVE",
  });
});

test("what the sender says went wrong is what went wrong", async () => {
  const [from, to] = duplexPair();
  const receiving = receiveEntries(to, inside, { signal: new AbortController().signal });
  await writeTrailer(from, { ok: false, code: "IO_ERROR", error: "a file there cannot be read" });
  await expect(receiving).rejects.toMatchObject({ code: "IO_ERROR", message: "a file there cannot be read" });
});
