import { dirname } from "node:path";
import type { EngineEvent } from "@pulumi/pulumi/automation/events.js";
import type { Stack } from "@pulumi/pulumi/automation/stack.js";
import { ConvocateError, toConvocateError } from "../../runtime/domain/index.js";
import { checkoutRoot, checkStackName } from "../inventory/index.js";
import { pulumiEnvironment } from "./environment.js";
import { combined, EventReader, type RolloutEvent } from "./events.js";

export interface RolloutOptions {
  stack: string;
  /** Hosts of the inventory to leave alone, with everything that is theirs on other hosts. */
  exclude?: readonly string[];
  onEvent?: (event: RolloutEvent) => void;
  /** Ends the engine as Ctrl-C would. Not for terminals, where the engine hears Ctrl-C itself: twice would kill it. */
  signal?: AbortSignal;
}

/** The stack of this checkout, made when there is none, on the same state as `script/pulumi`. */
async function openStack(name: string, signal?: AbortSignal): Promise<Stack> {
  const root = checkoutRoot();
  const { pulumi, variables } = await pulumiEnvironment(root, checkStackName(name), signal);
  // Pulumi's SDK takes half a second to load; `--help` does not wait for it.
  const { default: automation } = await import("@pulumi/pulumi/automation/index.js");
  const pulumiCommand = await automation.PulumiCommand.get({ root: dirname(dirname(pulumi)) });
  return await automation.LocalWorkspace.createOrSelectStack(
    { stackName: name, workDir: root },
    { pulumiCommand, envVars: variables, secretsProvider: "passphrase" },
  );
}

/** Runs one of the stack's operations with our events; rejects with what the engine's diagnostics say. */
export async function runOnStack(operation: "preview" | "up", options: RolloutOptions): Promise<void> {
  const { signal } = options;
  const reader = new EventReader();
  const errors: ConvocateError[] = [];
  const onEvent = (engineEvent: EngineEvent): void => {
    for (const event of reader.read(engineEvent)) {
      if (event.type === "error") errors.push(event.error);
      options.onEvent?.(event);
    }
  };
  // Names are host name labels, so none has a character that means something in a pattern.
  const exclude = (options.exclude ?? []).flatMap((host) => [`**::${host}`, `**::${host}/**`]);
  try {
    const stack = await openStack(options.stack, signal);
    const engineOptions = { onEvent, refresh: true, exclude, ...(signal && { signal }) };
    await (operation === "up" ? stack.up({ ...engineOptions, suppressOutputs: true }) : stack.preview(engineOptions));
  } catch (thrown) {
    if (signal?.aborted) throw new ConvocateError("INTERRUPTED", "interrupted: run it again to complete it");
    throw combined(errors) ?? engineError(thrown);
  }
}

/** Pulumi's own failures come as a whole transcript; its last `error:` line is what they mean. */
function engineError(thrown: unknown): ConvocateError {
  const error = toConvocateError(thrown, "ROLLOUT_FAILED");
  if (thrown instanceof ConvocateError) return error;
  const lines = error.message.split("\n").map((line) => line.trim());
  const said = lines.filter((line) => /(^|\s)error: /.test(line)).at(-1);
  const message = said?.replace(/^.*?error: /, "") ?? "it ended before it was done: run this again to complete it";
  return new ConvocateError("ROLLOUT_FAILED", `Pulumi: ${message}`, { cause: thrown });
}
