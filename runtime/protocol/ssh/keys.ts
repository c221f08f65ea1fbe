import { createHash } from "node:crypto";
import ssh2, { type ParsedKey } from "ssh2";
import { ConvocateError } from "../../domain/index.js";

/** A public key with what identifies it. */
export interface PublicKey {
  /** The key in SSH wire format. */
  blob: Buffer;
  comment: string;
}

/** `SHA256:…` of a key in wire format, as `ssh-keygen -l` prints it. */
export function fingerprintOfBlob(blob: Buffer): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

/** An OpenSSH public key line, ed25519 only. @throws ConvocateError BAD_REQUEST when it is not one. */
export function parsePublicKey(line: string): PublicKey {
  const [type, encoded, ...comment] = line.trim().split(/\s+/);
  if (type === "ssh-ed25519" && encoded && /^[A-Za-z0-9+/]+=*$/.test(encoded)) {
    const blob = Buffer.from(encoded, "base64");
    // length-prefixed "ssh-ed25519", then the length-prefixed 32 bytes of the key (RFC 8709)
    if (blob.length === 51 && blob.toString("latin1", 4, 15) === "ssh-ed25519")
      return { blob, comment: comment.join(" ") };
  }
  throw new ConvocateError("BAD_REQUEST", "not an ed25519 public key line: expected `ssh-ed25519 AAAA… comment`");
}

/** The keys of an authorized_keys file, by wire format in base64; lines that are no ed25519 key are left out. */
export function parseAuthorizedKeys(text: string): Map<string, PublicKey> {
  const keys = new Map<string, PublicKey>();
  for (const line of text.split("\n")) {
    if (!line.trim() || line.trim().startsWith("#")) continue;
    try {
      const key = parsePublicKey(line);
      keys.set(key.blob.toString("base64"), key);
    } catch {
      // One bad line must not lock out everybody else; what it would have allowed stays refused.
    }
  }
  return keys;
}

/** An OpenSSH ed25519 private key. @throws ConvocateError BAD_REQUEST; the message never holds the text. */
export function parsePrivateKey(text: string): ParsedKey {
  const key = ssh2.utils.parseKey(text);
  if (key instanceof Error || key.type !== "ssh-ed25519" || !key.isPrivateKey()) {
    throw new ConvocateError(
      "BAD_REQUEST",
      "not an ed25519 private key in OpenSSH format: make one with `ssh-keygen -t ed25519`",
    );
  }
  return key;
}
