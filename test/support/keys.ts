import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newKeyPair } from "../../runtime/protocol/ssh/keys.js";
import { eventually as waited } from "./eventually.js";

/** A folder of a test's own; gone when disposed. */
export function tempDir(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "convocate-test-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A key pair as files `<name>` and `<name>.pub`. */
export function keyFiles(
  dir: string,
  name: string,
  comment: string,
): { privateKey: string; publicKey: string; path: string } {
  const pair = newKeyPair(comment);
  const path = join(dir, name);
  writeFileSync(path, pair.privateKey, { mode: 0o600 });
  writeFileSync(`${path}.pub`, `${pair.publicKey}\n`);
  return { ...pair, path };
}

/** The same with its words the other way round, as test/tui calls it. */
export async function eventually(probe: () => boolean, what: string, timeoutMs = 10_000): Promise<true> {
  return await waited(what, probe, { timeoutMs });
}
