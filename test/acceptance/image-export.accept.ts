import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { zstdDecompressSync } from "node:zlib";
import { createPool } from "../../infra/connection/index.js";
import { exportImage, packSaved, packStored } from "../../infra/host/image-export.js";
import { findImage, type ImageFound } from "../../infra/host/image.js";
import { command } from "../support/cluster.js";

// With this machine's Docker alone: an export is of the machine that provisions.

const BASE = `t-export-base:${process.pid}`;
const TAG = `t-export:${process.pid}`;
const { signal } = new AbortController();
const folder = mkdtempSync(join(tmpdir(), "convocate-export-"));
let image: ImageFound;

const must = async (argv: string[], input: Buffer | string = ""): Promise<string> => {
  const { exitCode, stdout, stderr } = await command(argv, { input });
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
  return stdout;
};
const find = async (tag: string): Promise<ImageFound | null> => {
  await using pool = createPool();
  return await findImage(await pool.connect({ via: "local", name: "here" }), tag, { root: false });
};

/** Names and kinds of files that a tar and a storage driver may well see differently. */
const STRANGE = `
cd -- "$1"
long=deep/$(printf 'long-%.0s' $(seq 40))
mkdir -p "$long" empty
printf x >'-'; printf y >' a b '; printf z >$'new\\nline'; printf latin >$'caf\\xe9'; printf deep >"$long/file"
printf linked >one; ln one two; ln -s one three; mkfifo pipe
truncate -s 3M sparse; printf end >>sparse
chown 1234:1234 one; chmod 4755 "$long/file"; touch -d '2001-02-03 04:05:06.789' one
`;

beforeAll(async () => {
  const root = join(folder, "root");
  mkdirSync(root);
  await must(["bash", "-euc", STRANGE, "strange", root]);
  await must(["bash", "-euc", 'tar -C "$1" -c . | docker import - "$2" >/dev/null', "import", root, BASE]);
  await must(["docker", "save", "-o", join(folder, "base.tar"), BASE]);
  for (const [name, size] of Object.entries({ first: 300_000, second: 10, third: 70_000 }))
    writeFileSync(join(folder, name), Buffer.alloc(size, name));
  // A file of a layer replaced, an empty layer, and one twice.
  const text = `FROM ${BASE}\nCOPY first one\nCOPY second empty/\nCOPY second empty/\nCOPY third third\nLABEL a=b\n`;
  await must(["docker", "build", "-q", "-t", TAG, "-f", "-", folder], text);
  image = (await find(TAG))!;
}, 120_000);
afterAll(async () => {
  await command(["docker", "image", "rm", "-f", TAG, BASE]);
  rmSync(folder, { recursive: true });
}, 60_000);

test.each([
  ["Docker's own storage", packStored],
  ["docker save", packSaved],
])(
  "an export from %s is the same image when it is loaded, whole and without the layers that are there",
  async (_from, pack) => {
    expect(image.layers.length).toBeGreaterThanOrEqual(4);
    const whole = await pack(TAG, image, 0, signal);
    const part = await pack(TAG, image, 1, signal);
    expect(part.rawBytes).toBeLessThan(whole.rawBytes - 3_000_000);
    for (const [packed, gone] of [
      [part, [TAG]],
      [whole, [TAG, BASE]],
    ] as const) {
      await must(["docker", "image", "rm", ...gone]);
      expect(await find(image.imageId)).toBe(null);
      await must(["docker", "load", "-q"], zstdDecompressSync(await buffer(packed.read())));
      expect(await find(TAG)).toEqual(image);
    }
    await must(["docker", "load", "-q", "-i", join(folder, "base.tar")]);
  },
  120_000,
);

test("agents that lack the same share one export, and what was read side by side is the same", async () => {
  const [one, two] = await Promise.all([exportImage(TAG, image, 1, signal), exportImage(TAG, image, 1, signal)]);
  expect(one).toBe(two);
  const [read, again] = await Promise.all([buffer(one.read()), buffer(two.read())]);
  expect(read.length).toBe(one.bytes);
  expect(read.equals(again)).toBe(true);
});
