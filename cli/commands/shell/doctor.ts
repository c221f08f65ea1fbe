import { Command } from "commander";
import { ConvocateError, RELEASE, toConvocateError } from "../../../runtime/domain/index.js";
import type { DoctorOptions } from "../../../runtime/shell/index.js";
import { printJson } from "../../output/json.js";
import type { Client } from "../session/client.js";
import { LIST_TIMEOUT_MS } from "../session/resolve.js";
import { heardSoon } from "./agents.js";

/** `convocate doctor`: what the shell host can know of the cluster's health. */
export function doctor(client: Client): Command {
  return new Command("doctor")
    .description("check what can be known from this host; `convocate-host doctor` looks at the hosts themselves")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExit code 1 when anything fails; warnings alone end with 0.")
    .action(async (options: { json?: true }) => {
      const { diagnose } = await import("../../../runtime/shell/index.js");
      await using cluster = await client.open();
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
      await heardSoon(cluster);
      const checks = await diagnose(cluster, { release: RELEASE, status: await askStatus(client) });
      if (options.json) printJson(client.out, "doctor", { checks });
      else
        for (const { subject, check, state, message, mend } of checks) {
          client.out.line(`${state.padEnd(4)}  ${subject.padEnd(12)}  ${check.padEnd(16)}  ${message}`);
          if (mend !== null) client.out.line(`${" ".repeat(6)}→ ${mend}`);
        }
      const failed = checks.filter((check) => check.state === "fail");
      if (failed.length > 0) {
        const named = failed.map(({ subject, check }) => `${subject}: ${check}`).join("; ");
        throw new ConvocateError("COMMAND_FAILED", `${failed.length} of ${checks.length} checks failed: ${named}`);
      }
    });
}

async function askStatus(client: Client): Promise<DoctorOptions["status"]> {
  try {
    for await (const item of await client.history({ limit: 1 }))
      if (item.kind === "store") return { store: item.store };
    return { store: { state: "ok" } };
  } catch (thrown) {
    return { error: toConvocateError(thrown).message };
  }
}
