import { createHmac, timingSafeEqual } from "node:crypto";

interface Entry {
  marker?: string;
  patterns: string[];
  key: string;
}

/** An OpenSSH known_hosts file (sshd(8)): plain and hashed names, `[host]:port`, wildcards, `!`, `@revoked`. */
export class KnownHosts {
  readonly #entries: Entry[];

  constructor(text: string) {
    this.#entries = text
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "" && !line.startsWith("#"))
      .flatMap((line) => {
        const words = line.split(/\s+/);
        const marker = words[0]?.startsWith("@") ? words.shift() : undefined;
        const [names, type, blob] = words;
        if (names === undefined || type === undefined || blob === undefined) return [];
        return [{ ...(marker !== undefined && { marker }), patterns: names.split(","), key: `${type} ${blob}` }];
      });
  }

  /** The keys of a host, as OpenSSH public key lines; revoked ones and those of certificate authorities are left out. */
  keysOf(address: string, port: number): string[] {
    const name = port === 22 ? address.toLowerCase() : `[${address.toLowerCase()}]:${port}`;
    const matching = this.#entries.filter((entry) => matches(entry.patterns, name));
    const revoked = new Set(matching.filter((entry) => entry.marker === "@revoked").map((entry) => entry.key));
    const keys = matching.filter((entry) => entry.marker === undefined).map((entry) => entry.key);
    return [...new Set(keys)].filter((key) => !revoked.has(key));
  }
}

function matches(patterns: readonly string[], name: string): boolean {
  if (patterns.some((pattern) => pattern.startsWith("!") && matchesOne(pattern.slice(1), name))) return false;
  return patterns.some((pattern) => !pattern.startsWith("!") && matchesOne(pattern, name));
}

function matchesOne(pattern: string, name: string): boolean {
  // `|1|salt|HMAC-SHA1 of the name`, both in base64 (HashKnownHosts).
  const [, version, salt, hash] = pattern.split("|");
  if (pattern.startsWith("|")) {
    if (version !== "1" || salt === undefined || hash === undefined) return false;
    const expected = Buffer.from(hash, "base64");
    const actual = createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest();
    return expected.length === actual.length && timingSafeEqual(expected, actual);
  }
  return matchesGlob(pattern.toLowerCase(), name);
}

/** `*` any characters, `?` one. In time that grows with the product of the lengths, which a regular expression's does not. */
function matchesGlob(pattern: string, name: string): boolean {
  let at = 0;
  let star = -1;
  let starredTo = 0;
  let i = 0;
  while (i < name.length) {
    if (pattern[at] === "*") {
      star = at++;
      starredTo = i;
    } else if (at < pattern.length && (pattern[at] === "?" || pattern[at] === name[i])) {
      at += 1;
      i += 1;
    } else if (star >= 0) {
      // The last star takes one more.
      at = star + 1;
      i = starredTo += 1;
    } else return false;
  }
  while (pattern[at] === "*") at += 1;
  return at === pattern.length;
}
