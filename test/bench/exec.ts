import { execFile } from "node:child_process";

export interface Finished {
  /** From the start of the process to its end. */
  ms: number;
  exitCode: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  timeoutMs: number;
  cwd?: string;
  /** Added to this process's environment. */
  env?: Record<string, string>;
  signal?: AbortSignal;
}

/** Runs a program to its end, whatever its exit code; rejects when it cannot be started or outlives its deadline. */
export async function run(argv: readonly string[], { env, timeoutMs, cwd, signal }: RunOptions): Promise<Finished> {
  const [file = "", ...rest] = argv;
  const startedMs = performance.now();
  return await new Promise((resolve, reject) => {
    const options = {
      timeout: timeoutMs,
      killSignal: "SIGTERM",
      maxBuffer: 64 << 20,
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
      ...(signal ? { signal } : {}),
    } as const;
    const child = execFile(file, rest, options, (error, stdout, stderr) => {
      const ms = performance.now() - startedMs;
      if (error && typeof error.code !== "number")
        reject(new Error(`${argv.join(" ")}: ${error.message}\n${stderr || stdout}`, { cause: error }));
      else resolve({ ms, exitCode: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
    child.stdin?.end();
  });
}

/** Like run, and throws with what the program said when it does not end with 0. */
export async function must(argv: readonly string[], options: RunOptions): Promise<Finished> {
  const finished = await run(argv, options);
  if (finished.exitCode !== 0) {
    const said = `${finished.stderr.trim()}\n${finished.stdout.trim()}`.trim().split("\n").slice(-40).join("\n");
    throw new Error(`${argv.join(" ")}\nended with ${finished.exitCode}:\n${said}`);
  }
  return finished;
}
