import { ConvocateError } from "../../../runtime/domain/index.js";
import type { Inventory } from "../../../infra/inventory/index.js";
import { excluded, type Plan, type RolloutOptions } from "../../../infra/rollout/index.js";
import { createProgress } from "../../output/progress.js";
import { interruptSignal } from "../../output/run.js";

export interface Rolling {
  stack: string;
  inventory: Inventory;
  /** Begins the stack when it is not there. */
  makes?: boolean;
  /** Hosts to leave alone. */
  leave: readonly string[];
  /** It cannot be reached: what agents have there is left alone too. */
  shellIsSilent?: boolean;
  /** Patterns of URNs to work on alone, instead of hosts to leave alone. */
  target?: readonly string[];
  variables?: Readonly<Record<string, string>>;
  /** Whether steps that are done are said; a plan has done none. Default true. */
  announced?: boolean;
}

/** Runs one of the rollout's operations with progress on stderr. */
export async function roll(operation: (options: RolloutOptions) => Promise<Plan>, rolling: Rolling): Promise<Plan> {
  const {
    stack,
    makes = false,
    inventory,
    leave,
    shellIsSilent = false,
    target,
    variables,
    announced = true,
  } = rolling;
  const progress = createProgress(process.stderr, announced);
  try {
    return await operation({
      stack,
      makes,
      ...(target ? { target } : { exclude: excluded(inventory, leave, { shellIsSilent }) }),
      ...(variables && { variables }),
      onEvent: (event) => progress.take(event),
      // The engine hears a terminal's Ctrl-C itself.
      ...(!process.stdin.isTTY && { signal: interruptSignal }),
    });
  } catch (thrown) {
    // On a terminal the engine ends by itself, and says only that it was not done.
    if (announced && interruptSignal.aborted)
      throw new ConvocateError("INTERRUPTED", "interrupted: run the same again, which completes it", { cause: thrown });
    throw thrown;
  } finally {
    progress.end();
  }
}

/** `3 changed, 60 as they should be`. */
export function counted({ changes, unchanged }: Plan): string {
  const count = changes.length === 0 ? "nothing to change" : `${changes.length} changed`;
  return `${count}, ${unchanged} as they should be`;
}
