import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { ConvocateError } from "../../domain/index.js";
import { codeOf } from "../../protocol/files.js";

/** The agent's own service, as far as another program may touch it. */
export interface Service {
  /** Answers with whether it ran. */
  stop(): Promise<boolean>;
  restart(): Promise<void>;
}

const UNIT = "convocate-agent.service";
/** The unit gives it 20 s to stop. */
const SYSTEMCTL_MS = 60_000;
const run = promisify(execFile);

export const systemdService: Service = {
  async stop() {
    if (!(await isRunning())) return false;
    await systemctl("stop");
    return true;
  },
  // Not start: one that somebody started meanwhile has not read what was written since.
  restart: () => systemctl("restart"),
};

async function isRunning(): Promise<boolean> {
  try {
    const { stdout } = await run("systemctl", ["show", "-p", "ActiveState", "--value", UNIT], {
      timeout: SYSTEMCTL_MS,
    });
    return ["active", "activating", "reloading"].includes(stdout.trim());
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return false;
    throw failed("show", cause);
  }
}

async function systemctl(verb: "stop" | "restart"): Promise<void> {
  await run("systemctl", [verb, UNIT], { timeout: SYSTEMCTL_MS }).catch((cause: unknown) => {
    throw failed(verb, cause);
  });
}

function failed(verb: string, cause: unknown): ConvocateError {
  return new ConvocateError("COMMAND_FAILED", `\`systemctl ${verb} ${UNIT}\` failed: see \`journalctl -u ${UNIT}\``, {
    cause,
  });
}
