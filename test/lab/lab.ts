import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const hostSchema = z.object({
  name: z.string(),
  address: z.string(),
  port: z.number(),
  user: z.string(),
  /** Whether the host runs on this machine's kernel, or one of its own runs in its container. */
  kernel: z.enum(["shared", "own"]),
});
const inventorySchema = z.object({
  name: z.string(),
  subnet: z.string(),
  bare: z.boolean(),
  hosts: z.array(hostSchema),
});

export type LabHost = z.infer<typeof hostSchema>;

export interface LabOptions {
  /** Tests start theirs with `t-`, so that no test meets `dev`, which is a person's. */
  name: string;
  /** How many agents beside the shell host. Default 2. */
  agents?: number;
  /** Hosts with only what a minimal Debian server has. Default false. */
  bare?: boolean;
}

export interface ExecOptions {
  /** Default 60,000. The command on the host is killed at that time, and exitCode is 137. */
  timeoutMs?: number;
  /** What it reads from stdin. Default nothing. */
  input?: string | Buffer;
  /** Default root. */
  user?: string;
}

export interface ExecResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/**
 * The name of the lab that tests call `name`: in a checkout beside another one on the same machine, CONVOCATE_TEST_LABS says
 * what to put before it, so that their tests do not meet; nor do those on hosts of another Debian, CONVOCATE_LAB_SUITE, or
 * with kernels of their own, CONVOCATE_LAB_KERNEL.
 */
export function labName(name: string): string {
  const { CONVOCATE_TEST_LABS: others = "", CONVOCATE_LAB_SUITE: suite, CONVOCATE_LAB_KERNEL: kernel } = process.env;
  return `${others}${suite ? `${suite}-` : ""}${kernel ? `${kernel}-` : ""}${name}`;
}

/** Brings a lab up with `script/lab`, which makes the images the first time (about a minute). Throws with what it said. */
export async function labUp({ name: called, agents = 2, bare = false }: LabOptions): Promise<Lab> {
  const name = labName(called);
  const argv = ["up", "--name", name, "--agents", String(agents), ...(bare ? ["--bare"] : [])];
  await must(join(ROOT, "script/lab"), argv, 900_000);
  const directory = join(ROOT, ".convocate/labs", name);
  const inventory = inventorySchema.parse(JSON.parse(await readFile(join(directory, "hosts.json"), "utf8")));
  return new Lab(directory, inventory);
}

/** A lab that is up. `await using lab = await labUp(…)` takes it down at the end of the block. */
export class Lab implements AsyncDisposable {
  readonly name: string;
  readonly subnet: string;
  readonly bare: boolean;
  readonly hosts: readonly LabHost[];
  /** The key that every host's admin, pwadmin and root accept. */
  readonly keyPath: string;
  /** The host keys of all hosts, pinned from the start. */
  readonly knownHostsPath: string;

  constructor(directory: string, inventory: z.infer<typeof inventorySchema>) {
    ({ name: this.name, subnet: this.subnet, bare: this.bare, hosts: this.hosts } = inventory);
    this.keyPath = join(directory, "id_ed25519");
    this.knownHostsPath = join(directory, "known_hosts");
  }

  /** The host of that name; throws with the names there are. */
  host(name: string): LabHost {
    const host = this.hosts.find((candidate) => candidate.name === name);
    if (!host)
      throw new Error(`lab ${this.name} has no host ${name}: it has ${this.hosts.map((h) => h.name).join(", ")}`);
    return host;
  }

  /** Runs a command on a host through Docker, so that it also works while the host's network is cut. */
  async exec(name: string, argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { timeoutMs = 60_000, input = "", user = "root" } = options;
    const limit = ["timeout", "-s", "KILL", String(timeoutMs / 1000)];
    const container = this.container(name);
    const way = this.ownKernel(name) ? [container, "/sbin/lab-exec", user] : ["--user", user, container];
    return run("docker", ["exec", "-i", ...way, ...limit, ...argv], timeoutMs + 10_000, input);
  }

  /** Like exec, and throws with what the command said when it does not end with 0. Resolves to its stdout. */
  async sh(name: string, script: string, options: ExecOptions = {}): Promise<string> {
    const result = await this.exec(name, ["bash", "-euo", "pipefail", "-c", script], options);
    if (result.exitCode !== 0) throw failure(`on ${name}: ${script}`, result);
    return result.stdout;
  }

  /** Arguments for `ssh`, up to and without the remote command. */
  sshArgs(name: string, user = "admin"): string[] {
    const { address, port } = this.host(name);
    const options = [
      "BatchMode=yes",
      "IdentitiesOnly=yes",
      "StrictHostKeyChecking=yes",
      "LogLevel=ERROR",
      "ConnectTimeout=5",
    ];
    const files = [`UserKnownHostsFile="${this.knownHostsPath}"`, "GlobalKnownHostsFile=/dev/null"];
    const flags = [...options, ...files].flatMap((option) => ["-o", option]);
    return ["-F", "/dev/null", "-i", this.keyPath, ...flags, "-p", String(port), `${user}@${address}`];
  }

  /** A reboot: services stop in order; or, with `power: "cut"`, everything dies at once. Waits until systemd is up again. */
  async restart(name: string, { power = "cycled" }: { power?: "cycled" | "cut" } = {}): Promise<void> {
    const container = this.container(name);
    if (power === "cut") {
      await must("docker", ["kill", container]);
      await must("docker", ["start", container]);
    } else {
      await must("docker", ["restart", container]);
    }
    await this.booted(name);
  }

  /** Stops every process on the host where it stands: it looks hung from outside, its connections stay open. */
  async pause(name: string): Promise<void> {
    await must("docker", ["pause", this.container(name)]);
  }

  async unpause(name: string): Promise<void> {
    await must("docker", ["unpause", this.container(name)]);
  }

  /** Pulls the cable: every packet to and from the host, or only a peer's, is lost without a word. A restart mends it. */
  async disconnect(name: string, { peer }: { peer?: string } = {}): Promise<void> {
    for (const rule of this.dropRules(name, peer)) await this.iptables(name, ["-I", ...rule], true);
  }

  /** Undoes `disconnect` with the same arguments; does nothing on a connected host. */
  async connect(name: string, { peer }: { peer?: string } = {}): Promise<void> {
    for (const rule of this.dropRules(name, peer)) await this.iptables(name, ["-D", ...rule], false);
  }

  /** Takes away the hosts, their disks, the network and the keys. */
  async down(): Promise<void> {
    await must(join(ROOT, "script/lab"), ["down", "--name", this.name], 120_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  private container(name: string): string {
    return `convocate-lab-${this.name}-${this.host(name).name}`;
  }

  private ownKernel(name: string): boolean {
    return this.host(name).kernel === "own";
  }

  private async booted(name: string): Promise<void> {
    const deadline = Date.now() + 120_000;
    for (;;) {
      const { stdout } = await this.exec(name, ["systemctl", "is-system-running", "--wait"]);
      if (["running", "degraded"].includes(stdout.trim())) return;
      if (Date.now() > deadline) throw new Error(`${name} did not boot within 120 s; systemd says: ${stdout.trim()}`);
      await sleep(100);
    }
  }

  /** In the raw table, which ufw, Docker and our own firewall leave alone. */
  private dropRules(name: string, peer: string | undefined): string[][] {
    const from = peer === undefined ? ["-i", "eth0"] : ["-s", this.host(peer).address];
    const to = peer === undefined ? ["-o", "eth0"] : ["-d", this.host(peer).address];
    // What goes to and from a host with a kernel of its own passes a bridge in the container around it.
    if (this.ownKernel(name))
      return (peer === undefined ? [["-i", "br0"]] : [from, to]).map((which) => ["PREROUTING", ...which, "-j", "DROP"]);
    return [
      ["PREROUTING", ...from, "-j", "DROP"],
      ["OUTPUT", ...to, "-j", "DROP"],
    ];
  }

  /** With this machine's iptables inside the host's network namespace: a bare host has none of its own. */
  private async iptables(name: string, argv: readonly string[], mustSucceed: boolean): Promise<void> {
    const pid = (await must("docker", ["inspect", "--format", "{{.State.Pid}}", this.container(name)])).trim();
    const command = ["nsenter", "--target", pid, "--net", "iptables", "--wait", "10", "--table", "raw", ...argv];
    const [file = "", ...rest] = process.getuid?.() === 0 ? command : ["sudo", ...command];
    const result = await run(file, rest, 30_000);
    if (mustSucceed && result.exitCode !== 0) throw failure(command.join(" "), result);
  }
}

async function must(file: string, argv: readonly string[], timeoutMs = 60_000): Promise<string> {
  const result = await run(file, argv, timeoutMs);
  if (result.exitCode !== 0) throw failure([file, ...argv].join(" "), result);
  return result.stdout;
}

function failure(what: string, { exitCode, stdout, stderr }: ExecResult): Error {
  return new Error(`${what}\nended with ${exitCode}: ${stderr.trim() || stdout.trim()}`);
}

/** Resolves whatever the exit code; rejects when the program cannot be started, is killed, or says more than 64 MiB. */
function run(
  file: string,
  argv: readonly string[],
  timeoutMs: number,
  input: string | Buffer = "",
): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    const options = { timeout: timeoutMs, killSignal: "SIGKILL", maxBuffer: 64 << 20 } as const;
    const child = execFile(file, argv, options, (error, stdout, stderr) => {
      if (error && typeof error.code !== "number") {
        reject(new Error(`${file} ${argv.join(" ")}: ${error.message}\n${stderr}`, { cause: error }));
      } else {
        resolve({ exitCode: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
      }
    });
    // A command that ends without reading its input is not a failure of ours.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}
