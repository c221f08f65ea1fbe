import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { withSignal } from "./script.js";

/**
 * What a package list asks for: a name, or alternatives as `docker.io|docker-ce`, of which the first is installed. With `?`
 * at its end it is only asked for where the host's archives have the first: `docker-cli?` is part of another package before
 * Debian 13.
 */
export const PACKAGE_SPEC = /^[a-z0-9][a-z0-9+.-]+(\|[a-z0-9][a-z0-9+.-]+)*\??$/;

function alternatives(spec: string): [string, ...string[]] {
  return spec.replace(/\?$/, "").split("|") as [string, ...string[]];
}

const isOptional = (spec: string): boolean => spec.endsWith("?");

const queryArgv = (): string[] => ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n"];

/** Names of the installed packages in what `queryArgv` printed. Pure. */
export function parseQuery(stdout: string): Set<string> {
  const installed = new Set<string>();
  for (const line of stdout.split("\n")) {
    const [name, status] = line.split(" ");
    if (name && status === "installed") installed.add(name);
  }
  return installed;
}

/** Names that apt could install, in what `apt-cache policy` printed. Pure. */
export function parsePolicy(stdout: string): Set<string> {
  const found = stdout.matchAll(/^(\S+):\n(?: .*\n)*? {2}Candidate: (?!\(none\))/gm);
  return new Set(Array.from(found, ([, name = ""]) => name));
}

/** Those of the wanted specs that nothing installed satisfies. Pure. */
export function missing(wanted: readonly string[], installed: ReadonlySet<string>): string[] {
  return wanted.filter((spec) => !alternatives(spec).some((name) => installed.has(name)));
}

/** Which of the wanted specs are satisfied, by what is installed or because the archives have none. */
export async function satisfiedPackages(
  connection: Connection,
  wanted: readonly string[],
  signal?: AbortSignal,
): Promise<string[]> {
  const absent = missing(wanted, await installedPackages(connection, signal));
  const needed = await inArchives(connection, absent, signal);
  return wanted.filter((spec) => !needed.includes(spec));
}

/** Less those with `?` that the archives, as they were last fetched, do not have. */
async function inArchives(connection: Connection, specs: readonly string[], signal?: AbortSignal): Promise<string[]> {
  const asked = specs.filter(isOptional).map((spec) => alternatives(spec)[0]);
  if (asked.length === 0) return [...specs];
  const policy = ["env", "LC_ALL=C", "apt-cache", "policy", "--", ...asked];
  const found = parsePolicy((await connection.run(policy, withSignal(signal))).stdout);
  return specs.filter((spec) => !isOptional(spec) || found.has(alternatives(spec)[0]));
}

/** apt waits this long for another one's lock, unattended-upgrades for instance. */
const LOCK_TIMEOUT_S = 300;
const apt = (...args: string[]): string[] => [
  "env",
  "DEBIAN_FRONTEND=noninteractive",
  "NEEDRESTART_SUSPEND=1",
  "apt-get",
  "-q",
  "-o",
  `DPkg::Lock::Timeout=${LOCK_TIMEOUT_S}`,
  ...args,
];

const updateArgv = (): string[] => apt("update");

/** Keeps a configuration file that somebody changed, so that no question is asked. */
export const installArgv = (names: readonly string[]): string[] =>
  apt(
    "install",
    "-y",
    "--no-install-recommends",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
    "--",
    ...names,
  );

/** What an interrupted dpkg wants first; nothing to do is no error. */
const configureArgv = (): string[] => ["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--configure", "-a"];

export async function installedPackages(connection: Connection, signal?: AbortSignal): Promise<Set<string>> {
  const { stdout } = await connection.run(queryArgv(), withSignal(signal));
  return parseQuery(stdout);
}

/**
 * Installs what is missing. The lists are fetched first, since those of a fresh or an old host name packages that the
 * archives no longer have; `update` has a lock of its own that apt does not wait for, hence the second try.
 */
export async function installPackages(
  connection: Connection,
  specs: readonly string[],
  options: { signal?: AbortSignal; progress?: (message: string) => void } = {},
): Promise<void> {
  if ((await inArchives(connection, specs, options.signal)).length === 0) return;
  const run = (argv: string[], timeoutMs: number): Promise<unknown> =>
    connection.run(argv, { timeoutMs, ...withSignal(options.signal) });
  options.progress?.("apt-get update");
  try {
    await run(updateArgv(), 300_000);
  } catch (error) {
    if (!(error instanceof ConvocateError) || error.code !== "COMMAND_FAILED") throw error;
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    await run(updateArgv(), 300_000);
  }
  const names = (await inArchives(connection, specs, options.signal)).map((spec) => alternatives(spec)[0]);
  options.progress?.(`installing ${names.length} packages: ${names.join(" ")}`);
  await run(configureArgv(), 300_000);
  await run(installArgv(names), LOCK_TIMEOUT_S * 1000 + 1_200_000);
}
