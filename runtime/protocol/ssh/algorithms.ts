import type { Algorithms } from "ssh2";

/**
 * The modern set only: ssh-audit finds no fail and no warn. ssh2 adds strict key exchange (kex-strict) by itself.
 * ed25519 alone for keys, on both sides of every connection.
 */
export const ALGORITHMS: Algorithms = {
  kex: ["curve25519-sha256", "curve25519-sha256@libssh.org"],
  serverHostKey: ["ssh-ed25519"],
  cipher: ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"],
  hmac: ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"],
  compress: ["none"],
};

/** Each side pings every 30 s; three missed mean dead (SPEC 5). */
export const KEEPALIVE = { intervalMs: 30_000, missedMax: 3 } as const;
