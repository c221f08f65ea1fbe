import { DnsName, RESERVED_PORTS, SessionName } from "../../../domain/index.js";
import { OPS } from "../../../protocol/rpc/ops.js";

/** A typed value that is right, or what is wrong with it. */
export type Parsed<T> = { ok: true; value: T } | { ok: false; problem: string };

export function parseName(text: string): Parsed<string> {
  if (text === "") return { ok: false, problem: "a session needs a name" };
  const name = SessionName.safeParse(text);
  return name.success
    ? { ok: true, value: name.data }
    : { ok: false, problem: name.error.issues[0]?.message ?? "not a name" };
}

/** `8080`, `5353/udp`, `auto` (the first free from 1001 up) or nothing; what the wire's schema refuses is refused here too. */
export function parsePort(text: string): Parsed<{ port: number; protocol: "tcp" | "udp" }> {
  const typed = text.trim().toLowerCase();
  if (typed === "" || typed === "none") return { ok: true, value: { port: 0, protocol: "tcp" } };
  const match = /^(auto|-?\d+)(?:\/(tcp|udp))?$/.exec(typed);
  const port = match?.[1] === "auto" ? -1 : Number(match?.[1]);
  const parsed = OPS.create.params.shape.port.safeParse(match ? port : undefined);
  if (RESERVED_PORTS.includes(port))
    return { ok: false, problem: `${port} is a port of the host itself, choose another` };
  if (!match || !parsed.success)
    return { ok: false, problem: "a port from 1 to 65535 (8080, 5353/udp), auto, or nothing" };
  return { ok: true, value: { port: parsed.data, protocol: match[2] === "udp" ? "udp" : "tcp" } };
}

export function parseDnsName(text: string): Parsed<string | null> {
  const typed = text.trim();
  if (typed === "") return { ok: true, value: null };
  const name = DnsName.safeParse(typed);
  return name.success ? { ok: true, value: name.data } : { ok: false, problem: "a name like api.lab, or nothing" };
}

const UNIT = { "": 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 } as const;

/** `2g`, `512m`, `1.5 GiB` as bytes; nothing is null, which means the agent's default. */
export function parseBytes(text: string, least: number): Parsed<number | null> {
  const typed = text.trim().toLowerCase();
  if (typed === "") return { ok: true, value: null };
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/.exec(typed);
  const bytes = match ? Math.round(Number(match[1]) * UNIT[match[2] as keyof typeof UNIT]) : NaN;
  if (!Number.isSafeInteger(bytes)) return { ok: false, problem: "a size like 512m, 2g or 1.5g, or nothing" };
  if (bytes < least) return { ok: false, problem: `at least ${writeBytes(least)}` };
  return { ok: true, value: bytes };
}

/** As `parseBytes` reads it: exact, in the largest unit that keeps it whole. */
export function writeBytes(bytes: number): string {
  for (const unit of ["t", "g", "m", "k"] as const)
    if (bytes >= UNIT[unit] && bytes % UNIT[unit] === 0) return `${bytes / UNIT[unit]}${unit}`;
  return String(bytes);
}

/** A number in a range; nothing is null, which means the agent's default. */
export function parseNumber(
  text: string,
  { least, most, whole }: { least: number; most: number; whole: boolean },
): Parsed<number | null> {
  const typed = text.trim();
  if (typed === "") return { ok: true, value: null };
  const value = Number(typed);
  if (!/^\d+(\.\d+)?$/.test(typed) || (whole && !Number.isInteger(value)) || value < least || value > most)
    return { ok: false, problem: `${whole ? "a whole number" : "a number"} from ${least} to ${most}, or nothing` };
  return { ok: true, value };
}
