import { createHash, timingSafeEqual } from "node:crypto";

/** Host key types that ssh2 can verify, the one to prefer first. */
const TYPES = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
] as const;
export type HostKeyAlgorithm = (typeof TYPES)[number];

/** `SHA256:…` of a key's wire form, as OpenSSH prints it. */
export function fingerprintOf(blob: Buffer): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

/** The wire form of an OpenSSH public key line (`ssh-ed25519 AAAA… comment`). */
export function blobOf(line: string): Buffer {
  return Buffer.from(line.trim().split(/\s+/)[1] ?? "", "base64");
}

/** The type that a key's wire form begins with: a length of 4 bytes, then its name (RFC 4253, 6.6). */
export function typeOf(blob: Buffer): string {
  if (blob.length < 4) return "unknown";
  const length = blob.readUInt32BE(0);
  return length > 64 ? "unknown" : blob.toString("latin1", 4, 4 + length);
}

/** A key's wire form as an OpenSSH public key line without a comment. */
export function lineOf(blob: Buffer): string {
  return `${typeOf(blob)} ${blob.toString("base64")}`;
}

export function isPinned(blob: Buffer, pinned: readonly string[]): boolean {
  return pinned.some((line) => {
    const known = blobOf(line);
    return known.length === blob.length && timingSafeEqual(known, blob);
  });
}

/** The one of several pinned keys to name where only one can be: of the type that comes first above. */
export function preferredKey(pinned: readonly string[]): string {
  const rank = (line: string): number => TYPES.findIndex((type) => type === typeOf(blobOf(line))) >>> 0;
  return [...pinned].sort((a, b) => rank(a) - rank(b))[0] ?? "";
}

/**
 * Algorithms to offer: those of the pinned keys first, so that a host with several keys shows the one we know. The others
 * follow, so that a host which no longer has that type shows what it has, and the refusal can name both fingerprints.
 */
export function algorithmsFor(pinned: readonly string[]): HostKeyAlgorithm[] {
  const types = new Set(pinned.map((line) => typeOf(blobOf(line))));
  // An RSA key's type says ssh-rsa whatever signature it makes.
  const known = (type: string): boolean => types.has(type) || (type.startsWith("rsa-") && types.has("ssh-rsa"));
  return [...TYPES].sort((a, b) => Number(known(b)) - Number(known(a)));
}
