import { execFile } from "node:child_process";
import { join } from "node:path";
import { ConvocateError } from "../../runtime/domain/index.js";

/** Building what is stale comes first, which takes a while on a small machine. */
const TIMEOUT_MS = 300_000;

export interface PulumiEnvironment {
  /** The CLI, absolute. */
  pulumi: string;
  /** What to set for it: backend, home, passphrase file, PATH. */
  variables: Record<string, string>;
}

/** What `script/pulumi` would run and set, so that both work on one state. Builds dist/ first when it is stale. */
export async function pulumiEnvironment(root: string, stack: string, signal?: AbortSignal): Promise<PulumiEnvironment> {
  const text = await new Promise<string>((resolve, reject) => {
    execFile(
      join(root, "script/pulumi"),
      ["--print-env", "--stack", stack],
      { cwd: root, timeout: TIMEOUT_MS, maxBuffer: 1024 * 1024, ...(signal && { signal }) },
      (error, stdout, stderr) => {
        if (!error) resolve(stdout);
        else if (signal?.aborted) reject(new ConvocateError("INTERRUPTED", "interrupted"));
        else {
          const said = stderr.trim().split("\n").at(-1) ?? "";
          reject(
            new ConvocateError(
              "ROLLOUT_FAILED",
              `cannot find Pulumi: ${said.replace(/^error: /, "") || error.message}`,
              {
                cause: error,
              },
            ),
          );
        }
      },
    );
  });
  const variables: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0) variables[line.slice(0, at)] = line.slice(at + 1);
  }
  return { pulumi: variables["CONVOCATE_PULUMI"] ?? "pulumi", variables };
}
