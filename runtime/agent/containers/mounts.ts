import { lchown, lstat, mkdir, open, readFile, realpath } from "node:fs/promises";
import { join, relative } from "node:path";
import { codeOf, isMissing } from "../../protocol/files.js";
import { CONTAINER_HOME, CONTAINER_LOGIN, type Mount } from "./spec.js";

/** A place below the session's home that must be there before something can be mounted on it. */
export interface MountPoint {
  path: string;
  directory: boolean;
}

/** What of the service user's home is shared with sessions, read-only, where it exists. */
const SHARED = [
  { host: ".claude", inside: ".claude-shared", directory: true },
  { host: ".ssh", inside: ".ssh", directory: true },
  { host: ".gitconfig", inside: ".gitconfig", directory: false },
] as const;
/**
 * The login, the one thing that sessions may write: a CLI that refreshes an expired token writes it in place, since a mounted
 * file cannot be replaced by rename, and so it reaches the host and every other session at once. It lies in a folder that the
 * sessions share, because the CLI's lock goes beside it: a refresh token is good for one refresh, and of two sessions that
 * ask at the same time one would be logged out.
 */
const CREDENTIALS = ".credentials.json";
const LOGIN = ".convocate-login";
const INSIDE_LOGIN = relative(CONTAINER_HOME, CONTAINER_LOGIN);
/** Where Claude's own installer puts the CLI, and where the image has its own. */
const HOST_CLI = ".local/bin/claude";
const CONTAINER_CLI = "/usr/local/bin/claude";

/**
 * What this host shares with a session (SPEC 6.4), each only when it exists as what it should be: a link is followed for the
 * CLI alone, which its installer makes one. `serviceHome` is the service user's; a folder for the login is made there, his.
 */
export async function sharedMounts(
  serviceHome: string,
  owner: { uid: number; gid: number },
): Promise<{ mounts: Mount[]; points: MountPoint[] }> {
  const mounts: Mount[] = [];
  const points: MountPoint[] = [];
  const credentials = join(serviceHome, ".claude", CREDENTIALS);
  const login = join(serviceHome, LOGIN);
  // Side by side: each start waits for it.
  const [loggedIn, cli, ...kinds] = await Promise.all([
    kind(credentials),
    program(join(serviceHome, HOST_CLI)),
    ...SHARED.map(({ host }) => kind(join(serviceHome, host))),
  ]);
  for (const [at, { host, inside, directory }] of SHARED.entries()) {
    if (kinds[at] !== (directory ? "directory" : "file")) continue;
    mounts.push({ source: join(serviceHome, host), target: `${CONTAINER_HOME}/${inside}`, readOnly: true });
    points.push({ path: inside, directory });
  }
  if (loggedIn === "file" && (await makeLogin(login, owner))) {
    mounts.push({ source: login, target: CONTAINER_LOGIN, readOnly: false });
    mounts.push({ source: credentials, target: `${CONTAINER_LOGIN}/${CREDENTIALS}`, readOnly: false });
    points.push({ path: INSIDE_LOGIN, directory: true });
  }
  if (cli !== null) mounts.push({ source: cli, target: CONTAINER_CLI, readOnly: true });
  return { mounts, points };
}

/** Makes the sessions' login folder, with the file that the host's is mounted on; false where something else is there. */
async function makeLogin(path: string, { uid, gid }: { uid: number; gid: number }): Promise<boolean> {
  await mkdir(path, { mode: 0o700 }).catch(unlessThere);
  if ((await kind(path)) !== "directory") return false;
  await lchown(path, uid, gid);
  const file = join(path, CREDENTIALS);
  try {
    await (await open(file, "wx", 0o600)).close();
    await lchown(file, uid, gid);
  } catch (error) {
    unlessThere(error);
  }
  return (await kind(file)) === "file";
}

function unlessThere(error: unknown): void {
  if (codeOf(error) !== "EEXIST") throw error;
}

/** The CLI that a path leads to, when that is a program of its own: a script would look for a Node that sessions lack. */
async function program(path: string): Promise<string | null> {
  let source: string;
  try {
    source = await realpath(path);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
  if ((await kind(source)) !== "file") return null;
  await using file = await open(source, "r");
  const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
  return buffer.equals(Buffer.from("\x7fELF", "latin1")) ? source : null;
}

async function kind(path: string): Promise<"directory" | "file" | "other" | null> {
  try {
    const found = await lstat(path);
    if (found.isDirectory()) return "directory";
    return found.isFile() ? "file" : "other";
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Docker's own resolver asks three at most. */
const MAX_NAME_SERVERS = 3;

/**
 * Whom a session asks for names: the cluster's own name server first, then this host's, which answer while that one is down.
 * `gateway` stands for this host as the container's network sees it. Empty leaves it to Docker.
 */
export async function nameServers(
  wanted: readonly string[],
  gateway: string | null,
  files: readonly string[] = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"],
): Promise<string[]> {
  const first = wanted.map((one) => (one === "gateway" ? gateway : one)).filter((one) => one !== null);
  if (first.length === 0) return [];
  for (const file of files) {
    const text = await readFile(file, "utf8").catch((error: unknown) => {
      if (isMissing(error)) return null;
      throw error;
    });
    if (text !== null) return [...new Set([...first, ...parseResolvers(text)])].slice(0, MAX_NAME_SERVERS);
  }
  return first;
}

/** IPv4 name servers of a resolv.conf, less those on loopback, which a container has a loopback of its own for. Pure. */
export function parseResolvers(text: string): string[] {
  return [...text.matchAll(/^nameserver[ \t]+(\d{1,3}(?:\.\d{1,3}){3})[ \t]*$/gm)]
    .map((match) => match[1] ?? "")
    .filter((address) => !address.startsWith("127."));
}
