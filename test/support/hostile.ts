import fc from "fast-check";

/** Texts that have broken programs before, as names, ids, addresses and paths. */
export const EVIL_TEXTS = [
  "",
  "..",
  "../../etc/passwd",
  "/etc/passwd",
  "a/../../b",
  "null",
  "undefined",
  "NaN",
  "__proto__",
  "constructor",
  "-rf",
  "--help",
  "a;b",
  "$(id)",
  "`id`",
  "a|b",
  "a&b",
  "a b",
  "a\nb",
  "a\r\nb",
  "a\0b",
  "a\u001b[2Jb",
  "a\u202eb",
  "é",
  "a'b",
  'a"b',
  "*",
  "~",
  "%s%n",
  "a".repeat(65),
  "1".repeat(400),
  "00000000-0000-0000-0000-000000000000",
  "7D9F1C1E-5B1F-4A57-9D3C-5F6F0D2F6F10",
  "{7d9f1c1e-5b1f-4a57-9d3c-5f6f0d2f6f10}",
  "7d9f1c1e-5b1f-4a57-9d3c-5f6f0d2f6f10\n",
  " 7d9f1c1e-5b1f-4a57-9d3c-5f6f0d2f6f10",
  "7d9f1c1e5b1f4a579d3c5f6f0d2f6f10",
] as const;

export const evilText = (): fc.Arbitrary<string> =>
  fc.oneof(fc.constantFrom(...EVIL_TEXTS), fc.string({ unit: "binary" }), fc.string());

export const evilNumber = (): fc.Arbitrary<number> =>
  fc.oneof(
    fc.constantFrom(0, -0, -1, -2, 22, 53, 222, 223, 514, 65535, 65536, 1.5, 1e308, 2 ** 53, Number.MIN_VALUE),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  );

/** Any JSON value, with what is dangerous in it more often than chance would have it. */
export const evilJson = (): fc.Arbitrary<unknown> =>
  fc.oneof(
    evilText(),
    evilNumber(),
    fc.constantFrom(null, true, false, [], {}),
    fc.jsonValue(),
    fc.constantFrom<unknown>(JSON.parse('{"__proto__":{"evil":1},"constructor":{"prototype":{"evil":1}}}'), [[[[[]]]]]),
  );

/** `depth` arrays in each other, as a JSON text. */
export const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;

/** True when nobody has put something into every object of this process. */
export const prototypesAreClean = (): boolean => !("evil" in {}) && Object.keys(Object.prototype).length === 0;
