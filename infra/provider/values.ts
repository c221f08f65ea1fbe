import structPb from "google-protobuf/google/protobuf/struct_pb.js";

/**
 * Property values as the engine sends them, in a protobuf Struct with marks of Pulumi's own in it
 * (@pulumi/pulumi/runtime/rpc.js, specialSigKey and following): secrets are maps with a signature, unknowns one fixed text.
 */
const SIGNATURE_KEY = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";
/** Stands for a value that a preview cannot know. */
export const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export type Plain = Record<string, unknown>;
type Path = (string | number)[];

export interface Decoded {
  /** Without any marks, but that UNKNOWN stands where a value is not known. */
  plain: Plain;
  /** Top-level properties that are, or contain, a secret. */
  secrets: ReadonlySet<string>;
  /** Where the unknown values are. */
  unknowns: readonly Path[];
}

export function decode(struct: structPb.Struct | undefined): Decoded {
  const secrets = new Set<string>();
  const unknowns: Path[] = [];
  const walk = (value: unknown, path: Path): unknown => {
    if (value === UNKNOWN) unknowns.push(path);
    if (Array.isArray(value)) return value.map((item, i) => walk(item, [...path, i]));
    if (typeof value !== "object" || value === null) return value;
    const map = value as Plain;
    if (map[SIGNATURE_KEY] === SECRET) {
      if (path[0] !== undefined) secrets.add(String(path[0]));
      return walk(map["value"], path);
    }
    const out: Plain = {};
    for (const [key, item] of Object.entries(map)) {
      // What a program leaves undefined may come as null; zod's optional wants it gone.
      if (item !== null) out[key] = walk(item, [...path, key]);
    }
    return out;
  };
  const plain = walk(struct?.toJavaScript() ?? {}, []) as Plain;
  return { plain, secrets, unknowns };
}

/** The other way: named top-level properties become secrets, undefined ones are left out. */
export function encode(plain: object, secrets: ReadonlySet<string>): structPb.Struct {
  const marked: Plain = {};
  for (const [key, value] of Object.entries(plain)) {
    if (value === undefined) continue;
    marked[key] =
      secrets.has(key) && value !== UNKNOWN ? { [SIGNATURE_KEY]: SECRET, value: dense(value) } : dense(value);
  }
  return structPb.Struct.fromJavaScript(marked as Parameters<typeof structPb.Struct.fromJavaScript>[0]);
}

/** As JSON would have it: nothing undefined inside, which a Struct cannot hold. */
function dense(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value)) as unknown;
}

/** `a.b["/etc/x"][0]`, the engine's way to write a property's path. */
export function propertyPath(path: readonly PropertyKey[]): string {
  return path
    .map((key, i) => {
      if (typeof key === "number") return `[${key}]`;
      const text = String(key);
      if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(text)) return i === 0 ? text : `.${text}`;
      return `[${JSON.stringify(text)}]`;
    })
    .join("");
}

/** The property that a path begins with. */
export function topProperty(path: string): string {
  return /^[^.[]+/.exec(path)?.[0] ?? path;
}
