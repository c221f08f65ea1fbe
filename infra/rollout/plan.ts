import type { Difference, Operation, ResourceName, RolloutEvent } from "./events.js";
import { runOnStack, type RolloutOptions } from "./stack.js";

/** What an `up` would do to one resource. */
export interface PlannedChange {
  resource: ResourceName;
  operation: Exclude<Operation, "read" | "none">;
  differences: Difference[];
}

export interface Plan {
  /** By host, in the order of their names. */
  changes: PlannedChange[];
  /** Resources that are as they should be. */
  unchanged: number;
}

/** Reads every host and tells what differs from the inventory. Changes nothing: neither hosts nor state. */
export async function plan(options: RolloutOptions): Promise<Plan> {
  return await gathered("preview", options);
}

/** Makes hosts match the inventory and tells what it changed. Run again, it completes what was cut off and repairs drift. */
export async function rollout(options: RolloutOptions): Promise<Plan> {
  return await gathered("up", options);
}

/** Takes away what the stack's state says was installed; what `pulumi destroy` does. */
export async function destroy(options: RolloutOptions): Promise<Plan> {
  return await gathered("destroy", options);
}

async function gathered(operation: "preview" | "up" | "destroy", options: RolloutOptions): Promise<Plan> {
  const gatherer = new PlanGatherer();
  await runOnStack(operation, {
    ...options,
    onEvent: (event) => {
      gatherer.take(event);
      options.onEvent?.(event);
    },
  });
  return gatherer.plan();
}

/** Makes a plan of the events of a preview, or of what an up did. */
export class PlanGatherer {
  readonly #changes = new Map<string, PlannedChange>();
  #unchanged = 0;

  take(event: RolloutEvent): void {
    if (event.type !== "finished" || event.operation === "read") return;
    const { resource, operation, differences } = event;
    if (operation === "none") this.#unchanged++;
    else this.#changes.set(resource.urn, { resource, operation, differences });
  }

  plan(): Plan {
    const name = ({ resource }: PlannedChange): string => `${resource.host}/${resource.what}`;
    const changes = [...this.#changes.values()].sort((a, b) => name(a).localeCompare(name(b), "en", { numeric: true }));
    return { changes, unchanged: this.#unchanged };
  }
}
