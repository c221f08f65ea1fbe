import { spawn } from "node:child_process";
import { ConvocateError } from "../../runtime/domain/index.js";
import { checkoutRoot, checkStackName } from "../inventory/index.js";
import { pulumiEnvironment } from "./environment.js";
import { openStack } from "./stack.js";

/** A setting of a stack's config; null takes it away. */
export type Setting = { plain: string } | { secret: string } | null;

const TIMEOUT_MS = 60_000;

/**
 * Changes a stack's config (Pulumi.<stack>.yaml), secrets encrypted. By the CLI and its input, since the Automation API
 * would put a secret's value among the CLI's arguments.
 */
export async function configure(stack: string, settings: Readonly<Record<string, Setting>>): Promise<void> {
  await openStack({ stack, makes: true });
  const root = checkoutRoot();
  const { pulumi, variables } = await pulumiEnvironment(root, checkStackName(stack));
  const env = { ...process.env, ...variables };
  for (const [key, setting] of Object.entries(settings)) {
    const verb = setting === null ? ["rm"] : ["set", "secret" in setting ? "--secret" : "--plaintext"];
    const input = setting === null ? "" : "secret" in setting ? setting.secret : setting.plain;
    const argv = ["config", ...verb, key, "--stack", stack, "--non-interactive", "--cwd", root];
    await run(pulumi, argv, env, input);
  }
}

async function run(program: string, argv: readonly string[], env: NodeJS.ProcessEnv, input: string): Promise<void> {
  const child = spawn(program, argv, { env, stdio: ["pipe", "ignore", "pipe"], timeout: TIMEOUT_MS });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-4096)));
  child.stdin.on("error", () => undefined).end(input);
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (exitCode === 0) return;
  const said = stderr.trim().split("\n").at(-1) ?? "";
  throw new ConvocateError("ROLLOUT_FAILED", `Pulumi: ${argv.slice(0, 4).join(" ")}: ${said.replace(/^error: /, "")}`);
}
