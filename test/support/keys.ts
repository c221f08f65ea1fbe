import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh2 from "ssh2";
import { fingerprintOfBlob, parsePublicKey } from "../../runtime/protocol/ssh/keys.js";

/** A folder of a test's own; gone when disposed. */
export function tempDir(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "convocate-test-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A new ed25519 key pair, both as OpenSSH texts. Made again when it cannot be read back (mscdex/ssh2 #1513). */
export function newKeyPair(comment: string): { privateKey: string; publicKey: string } {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync("ed25519", { comment });
    const parsed = ssh2.utils.parseKey(pair.private);
    if (parsed instanceof Error) continue;
    const publicKey = pair.public.trim();
    if (!parsed.getPublicSSH().equals(parsePublicKey(publicKey).blob)) continue;
    return { privateKey: pair.private, publicKey: publicKey.includes(comment) ? publicKey : `${publicKey} ${comment}` };
  }
}

/** `SHA256:…` of a public key line. */
export function fingerprint(publicKeyLine: string): string {
  return fingerprintOfBlob(parsePublicKey(publicKeyLine).blob);
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
