import type { Labels } from "../../../runtime/domain/index.js";
import { checkoutRoot, hostsOf, inventoryPath, readInventory } from "../../../infra/inventory/index.js";
import { plan, type PlannedChange } from "../../../infra/rollout/index.js";
import { planJson, planText } from "../../output/plan.js";
import { chosenHosts, others, sayHeld, withReached } from "./hosts.js";
import { roll } from "./roll.js";

export interface PlanOptions {
  stack: string;
  host?: string;
  label?: Labels;
  json?: true;
}

/**
 * Prints what an `up` would change, drift included; exit code 2 when anything would. A host that cannot be reached is
 * named and left out, and the exit code is 3.
 */
export async function showPlan(options: PlanOptions): Promise<void> {
  const inventory = readInventory(inventoryPath(checkoutRoot(), options.stack));
  const asked = chosenHosts(inventory, options);
  const names = new Set(asked.map(({ name }) => name));
  sayHeld(inventory, names);
  // An agent has resources on the shell host too, which is asked for them.
  const concerned = hostsOf(inventory).filter(({ name }) => names.has(name) || name === inventory.shell.name);
  const unreachable = await withReached(concerned, (reached) => Promise.resolve(reached.unreachable));
  const silent = new Set(unreachable.map(({ name }) => name));
  const looked = new Set(concerned.map(({ name }) => name).filter((name) => !silent.has(name)));
  const found = await roll(plan, {
    stack: options.stack,
    inventory,
    leave: others(inventory, looked),
    shellIsSilent: silent.has(inventory.shell.name),
    announced: false,
  });
  const mine = ({ resource }: PlannedChange): boolean =>
    names.has(resource.host) || [...names].some((name) => resource.urn.includes(`::${name}/`));
  const whole = options.host === undefined && options.label === undefined;
  const shown = whole ? found : { ...found, changes: found.changes.filter(mine) };
  process.stdout.write(options.json ? planJson(options.stack, shown, unreachable) : planText(shown, unreachable));
  if (shown.changes.length > 0 && unreachable.length === 0) process.exitCode = 2;
}
