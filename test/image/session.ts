import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Screen } from "./screen.js";

const run = promisify(execFile);

/** Runs docker with these arguments and returns what it printed, without the last newline. */
export async function docker(...args: string[]): Promise<string> {
  const { stdout } = await run("docker", args, { timeout: 60_000, maxBuffer: 16 * 1024 * 1024 });
  return stdout.replace(/\n$/, "");
}

/** This machine's address on Docker's own bridge, which names it no gateway from the daemon's very first start to its second. */
export async function bridgeAddress(): Promise<string> {
  const told = await docker("network", "inspect", "bridge", "--format", "{{json (index .IPAM.Config 0)}}");
  const { Subnet, Gateway } = JSON.parse(told) as { Subnet: string; Gateway?: string };
  return Gateway ?? Subnet.replace(/\.0\/\d+$/, ".1");
}

export interface SessionOptions {
  image: string;
  env?: Record<string, string>;
  /** More arguments of `docker run`, before the image. */
  args?: string[];
  /** The home's volume of an earlier session, to start again on. */
  home?: string;
  /** A shell script that prepares the home as root, in /home/claude, before the session starts. */
  prepare?: string;
  /** Owner of the home, and whom attaches run as. */
  uid?: number;
}

let count = 0;

/** A session's container as the agent makes it, with a volume for its home. Disposed of, both are gone. */
export class Session implements AsyncDisposable {
  private readonly screens: Screen[] = [];
  private constructor(
    readonly name: string,
    readonly home: string,
    private readonly uid: number,
    private readonly ownsHome: boolean,
  ) {}

  static async start(options: SessionOptions): Promise<Session> {
    const { image, env = {}, args = [], prepare, uid = 1337 } = options;
    const name = `t-image-${process.pid}-${++count}`;
    const home = options.home ?? `${name}-home`;
    const session = new Session(name, home, uid, options.home === undefined);
    // Docker copies the image's own home, with its owner, into an empty volume: for a prepared one that would undo it.
    const mount = ["--volume", `${home}:/home/claude${prepare === undefined ? "" : ":nocopy"}`];
    try {
      if (prepare !== undefined) {
        const script = `cd /home/claude; set -eu; chown 1337:1337 .; chmod 0700 .; ${prepare}`;
        await docker("run", "--rm", ...mount, "--entrypoint", "sh", image, "-c", script);
      }
      const variables = Object.entries(env).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
      await docker("run", "--detach", "--init", "--name", name, ...mount, ...variables, ...args, image);
      return session;
    } catch (cause) {
      await session[Symbol.asyncDispose]();
      throw cause;
    }
  }

  /** Runs a command in the container as the session's user, and returns what it printed. */
  exec(...command: string[]): Promise<string> {
    return docker("exec", "--user", String(this.uid), "--env", "HOME=/home/claude", this.name, ...command);
  }

  async attach(options: { term?: string; readOnly?: boolean; cols?: number; rows?: number } = {}): Promise<Screen> {
    const command = ["convocate-attach", ...(options.readOnly ? ["--read-only"] : [])];
    const { term = "xterm-256color", cols = 100, rows = 30 } = options;
    const screen = await Screen.open(this.name, { command, user: String(this.uid), term, cols, rows });
    this.screens.push(screen);
    return screen;
  }

  /** One field of `docker inspect`, as a Go template. */
  inspect(template: string): Promise<string> {
    return docker("inspect", "--format", template, this.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const screen of this.screens) screen.close();
    await docker("rm", "--force", this.name).catch(() => undefined);
    if (this.ownsHome) await docker("volume", "rm", "--force", this.home).catch(() => undefined);
  }
}

/** Waits until `probe` gives something other than undefined or false; throws with `what` after `timeoutMs`. */
export async function eventually<T>(
  what: string,
  probe: () => T | Promise<T>,
  timeoutMs = 30_000,
): Promise<Exclude<Awaited<T>, undefined | false>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value as Exclude<Awaited<T>, undefined | false>;
    if (Date.now() > deadline) throw new Error(`after ${timeoutMs} ms still not: ${what}`);
    await sleep(50);
  }
}
