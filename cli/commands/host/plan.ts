import { ConvocateError } from "../../../runtime/domain/index.js";
import { checkoutRoot, inventoryPath, readInventory } from "../../../infra/inventory/index.js";
import { plan, type PlannedChange } from "../../../infra/rollout/index.js";
import { planJson, planText } from "../../output/plan.js";
import { createProgress } from "../../output/progress.js";
import { interruptSignal } from "../../output/run.js";

export interface PlanOptions {
  stack: string;
  host?: string;
  json?: true;
}

/** Prints what an `up` would change, drift included; exit code 2 when anything would. */
export async function showPlan(options: PlanOptions): Promise<void> {
  const inventory = readInventory(inventoryPath(checkoutRoot(), options.stack));
  const hosts = [inventory.shell, ...inventory.agents];
  const asked = hosts.filter(({ name, clusterAddress }) => options.host === name || options.host === clusterAddress);
  if (options.host !== undefined && asked.length === 0)
    throw new ConvocateError(
      "BAD_USAGE",
      `no host ${options.host} in the inventory: it has ${hosts.map(({ name }) => name).join(", ")}`,
    );
  const names = new Set(asked.map(({ name }) => name));
  const exclude =
    options.host === undefined
      ? []
      : inventory.agents.map(({ name }) => name).filter((name) => !names.has(name) && name !== inventory.shell.name);
  const progress = createProgress(process.stderr, false);
  try {
    const found = await plan({
      stack: options.stack,
      exclude,
      onEvent: (event) => progress.take(event),
      ...(!process.stdin.isTTY && { signal: interruptSignal }),
    });
    progress.end();
    const mine = ({ resource }: PlannedChange): boolean =>
      names.has(resource.host) || [...names].some((name) => resource.urn.includes(`::${name}/`));
    const shown = options.host === undefined ? found : { ...found, changes: found.changes.filter(mine) };
    process.stdout.write(options.json ? planJson(options.stack, shown) : planText(shown));
    if (shown.changes.length > 0) process.exitCode = 2;
  } finally {
    progress.end();
  }
}
