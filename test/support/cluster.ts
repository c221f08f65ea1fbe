import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { labUp, type Lab, type LabOptions } from "../lab/lab.js";
import { startMessagesApi, type MessagesApi } from "./messages-api/server.js";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface CommandResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Runs a program of this machine to its end; a deadline kills it by its pid. */
export async function command(
  argv: readonly string[],
  {
    timeoutMs = 120_000,
    input = "",
    env = {},
  }: { timeoutMs?: number; input?: string | Buffer; env?: Record<string, string> } = {},
): Promise<CommandResult> {
  return await new Promise((resolve, reject) => {
    const [file = "", ...rest] = argv;
    const child = spawn(file, rest, { cwd: ROOT, env: { ...process.env, ...env }, stdio: "pipe" });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`${argv.join(" ")} did not end within ${timeoutMs / 1000} s\n${stdout}\n${stderr}`));
    }, timeoutMs);
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ exitCode: code ?? (signal ? 128 : 1), stdout, stderr });
    });
    child.stdin.on("error", () => undefined).end(input);
  });
}

/** A lab that is rolled out, with the stack that did it. Tests of one run share it: a rollout that changes nothing is quick. */
export class TestCluster {
  constructor(
    readonly lab: Lab,
    readonly stack: string,
    readonly inventory: string,
    readonly api: MessagesApi,
  ) {}

  /** Ends what this test file holds; hosts and stack stay for the next one. */
  async close(): Promise<void> {
    await this.api[Symbol.asyncDispose]();
  }

  /** Takes the hosts away, and the stack with them: there is nothing left that `destroy` could visit. */
  async takeDown(): Promise<void> {
    await this.close();
    await this.lab.down();
    const removed = await this.pulumi(["stack", "rm", "--yes", "--force"]);
    if (removed.exitCode !== 0) throw new Error(`cannot remove stack ${this.stack}: ${removed.stderr}`);
  }

  /** `script/pulumi ARGUMENT… --stack S`, not interactive. */
  async pulumi(argv: readonly string[], { timeoutMs = 900_000 } = {}): Promise<CommandResult> {
    return await command(["script/pulumi", ...argv, "--stack", this.stack, "--non-interactive", "--color", "never"], {
      timeoutMs,
    });
  }

  /** `pulumi up --refresh`; throws with what it said when it does not end with 0. */
  async up(): Promise<string> {
    const result = await this.pulumi(["up", "--refresh", "--yes", "--skip-preview"]);
    if (result.exitCode !== 0) throw new Error(`up ended with ${result.exitCode}\n${result.stdout}\n${result.stderr}`);
    return result.stdout;
  }

  /** `up` as a process of its own, head of its process group, to be killed. */
  startUp(): ChildProcess {
    const options = ["--yes", "--skip-preview", "--stack", this.stack, "--non-interactive"];
    return spawn(join(ROOT, "script/pulumi"), ["up", "--refresh", ...options], {
      cwd: ROOT,
      stdio: "ignore",
      detached: true,
    });
  }

  async convocateHost(argv: readonly string[], { timeoutMs = 300_000 } = {}): Promise<CommandResult> {
    return await command(
      [join(ROOT, "node_modules/.bin/node"), "dist/convocate-host.mjs", ...argv, "--stack", this.stack],
      { timeoutMs },
    );
  }

  /** The start of a command line that runs on the shell host as the service user, with a terminal. */
  shellTty(): string[] {
    const [destination = "", ...flags] = this.lab.sshArgs("shell").reverse();
    return ["ssh", "-tt", ...flags.reverse(), destination, "sudo", "-u", "claude"];
  }

  /** `convocate ARGUMENT…` on the shell host, as the service user. */
  async convocate(argv: readonly string[], { timeoutMs = 60_000 } = {}): Promise<CommandResult> {
    return await this.lab.exec("shell", ["sudo", "-u", "claude", "/usr/local/bin/convocate", ...argv], { timeoutMs });
  }

  /** The same with `--json`, parsed; throws with what it said when it does not end with 0. */
  async json<T>(argv: readonly string[]): Promise<T> {
    const result = await this.convocate([...argv, "--json"]);
    if (result.exitCode !== 0)
      throw new Error(`convocate ${argv.join(" ")} ended with ${result.exitCode}: ${result.stderr}`);
    return JSON.parse(result.stdout) as T;
  }
}

/** Port of the test Messages API server in a lab, on the bridge's own address. */
const API_PORT = 8099;

/**
 * The acceptance cluster of that name: brought up, declared and rolled out when it is not yet, and given a Messages API
 * for as long as the calling test file runs.
 */
export async function acceptanceCluster(options: LabOptions & { rollOut?: boolean }): Promise<TestCluster> {
  const lab = await labUp(options);
  // Small, so that a small machine has room for the sessions of every test.
  const cluster = await declared(lab, { agents: lab.hosts.slice(1), cpus: 0.1, diskBytes: 256 * 1024 * 1024 });
  if (options.rollOut === false) return cluster;
  try {
    await cluster.up();
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return cluster;
}

/** The agents, and what each of their sessions pledges. */
interface Declaration {
  agents: readonly { name: string; address: string }[];
  cpus: number;
  diskBytes: number;
}

/** A lab with a stack of its own whose inventory says what is to be there, not rolled out; the first host is the shell host. */
export async function declared(lab: Lab, { agents, cpus, diskBytes }: Declaration): Promise<TestCluster> {
  const [shell] = lab.hosts;
  if (!shell) throw new Error(`lab ${lab.name} has no hosts`);
  const gateway = lab.subnet.replace(/\.0\/24$/, ".1");
  const at = ({ name, address }: { name: string; address: string }) => ({ name, address });
  const text = stringify({
    cluster: lab.name,
    knownHosts: lab.knownHostsPath,
    shell: at(shell),
    agents: agents.map(at),
    defaults: {
      user: "admin",
      identityFile: lab.keyPath,
      // The Messages API is on a private address, which sessions reach only where the inventory says so.
      egress: [`${gateway}:${API_PORT}`],
      session: {
        memoryBytes: 768 * 1024 * 1024,
        cpus,
        diskBytes,
        env: {
          ANTHROPIC_BASE_URL: `http://${gateway}:${API_PORT}`,
          ANTHROPIC_API_KEY: "sk-ant-lab-0000000000000000000000000000",
        },
      },
    },
  });
  const folder = join(ROOT, ".convocate/labs", lab.name);
  const inventory = join(folder, "inventory.yaml");
  await mkdir(folder, { recursive: true });
  if ((await readFile(inventory, "utf8").catch(() => "")) !== text) await writeFile(inventory, text);
  const api = await startMessagesApi({ port: API_PORT, host: gateway });
  const cluster = new TestCluster(lab, `test-${lab.name}`, inventory, api);
  try {
    for (const argv of [
      ["stack", "select", "--create"],
      ["config", "set", "convocate:inventory", inventory],
    ]) {
      const { exitCode, stderr } = await cluster.pulumi(argv);
      if (exitCode !== 0) throw new Error(`pulumi ${argv.join(" ")} of stack ${cluster.stack}: ${stderr}`);
    }
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return cluster;
}
