import { InvalidArgumentError, type Command } from "commander";
import type { z } from "zod";
import { DnsName, RESERVED_PORTS, SessionName, WantedLimits, WantedPort } from "../../../runtime/domain/index.js";

/** A value of one of the domain's schemas; what is allowed when it is not, or the schema's own message. */
function parsed<T>(schema: z.ZodType<T>, value: unknown, allowed?: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new InvalidArgumentError(allowed ?? `${result.error.issues.map((issue) => issue.message).join("; ")}.`);
}

export const sessionName = (text: string): string => parsed(SessionName, text);
export const dnsName = (text: string): string => parsed(DnsName, text);

/** -1, 0 or a port. */
export function publishedPort(text: string): number {
  const port = /^-?[0-9]{1,5}$/.test(text) ? Number(text) : NaN;
  if (RESERVED_PORTS.includes(port))
    throw new InvalidArgumentError(`the agent's host needs ${RESERVED_PORTS.join(", ")} itself.`);
  return parsed(WantedPort, port, "a port is -1, 0 or up to 65535.");
}

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 };

/** `512M`, `2G`, `1.5G`: bytes, in powers of 1024. */
export function size(text: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?)([KMGT]?)(?:i?B)?$/i.exec(text);
  const unit = UNITS[match?.[2]?.toUpperCase() ?? ""];
  if (!match || unit === undefined) throw new InvalidArgumentError("a size is bytes or as 512M, 2G.");
  return Math.round(Number(match[1]) * unit);
}

const cpus = (text: string): number =>
  parsed(WantedLimits.shape.cpus.unwrap(), Number(text), "cores are 0.01 to 1024, as 0.5 or 2.");
const memory = (text: string): number =>
  parsed(WantedLimits.shape.memory_bytes.unwrap(), size(text), "memory is 64M or more, as 512M or 2G.");
const pids = (text: string): number =>
  parsed(WantedLimits.shape.pids.unwrap(), Number(text), "processes are a whole number, 16 to 4194304.");
const disk = (text: string): number =>
  parsed(WantedLimits.shape.disk_bytes.unwrap(), size(text), "disk is 1M or more, as 500M or 20G.");

/** Takes a limit back to the agent's own. */
export const DEFAULT = "default";

/** What `--cpus`, `--memory`, `--pids` and `--disk` said. */
export interface LimitOptions<T = number> {
  cpus?: T;
  memory?: T;
  pids?: T;
  disk?: T;
}

/** The four limits as options; with `orDefault`, each may be DEFAULT. */
export function limitOptions(command: Command, orDefault = false): Command {
  const or =
    <T>(parse: (text: string) => T) =>
    (text: string): T | typeof DEFAULT =>
      orDefault && text === DEFAULT ? DEFAULT : parse(text);
  const back = orDefault ? `; ${DEFAULT}: the agent's` : "";
  return command
    .option("--cpus <cores>", `at most so many cores${back}`, or(cpus))
    .option("--memory <size>", `at most so much memory, as 512M or 2G${back}`, or(memory))
    .option("--pids <number>", `at most so many processes${back}`, or(pids))
    .option("--disk <size>", `so much of the agent's disk is set aside for it${back}`, or(disk));
}

type Wire<T> = Partial<Record<"cpus" | "memory_bytes" | "pids" | "disk_bytes", T>>;

/** Those that were given, by the wire's names. */
export function limitsFrom(options: LimitOptions): Wire<number> {
  return {
    ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
    ...(options.memory === undefined ? {} : { memory_bytes: options.memory }),
    ...(options.pids === undefined ? {} : { pids: options.pids }),
    ...(options.disk === undefined ? {} : { disk_bytes: options.disk }),
  };
}

/** The same for an edit: null is a limit that is taken back. */
export function limitChanges(options: LimitOptions<number | typeof DEFAULT>): Wire<number | null> {
  const value = (limit: number | typeof DEFAULT | undefined): number | null | undefined =>
    limit === DEFAULT ? null : limit;
  const { cpus, memory, pids, disk } = options;
  const all = { cpus: value(cpus), memory_bytes: value(memory), pids: value(pids), disk_bytes: value(disk) };
  return Object.fromEntries(Object.entries(all).filter(([, limit]) => limit !== undefined));
}

/** Whole seconds, a day at most. */
export function seconds(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value > 86_400) throw new InvalidArgumentError("whole seconds, a day at most.");
  return value;
}
