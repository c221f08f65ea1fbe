import type { InventoryAgent } from "./read.js";

/** The release that the inventory holds an agent at, where this checkout is another; undefined when it takes ours. */
export function heldAt({ release }: Pick<InventoryAgent, "release">, checkout: string): string | undefined {
  return release === checkout ? undefined : release;
}

/** What is to be said of that whenever a rollout passes by, in a line. */
export function heldText(agent: Pick<InventoryAgent, "name" | "release">, checkout: string): string | undefined {
  const at = heldAt(agent, checkout);
  return at && `${agent.name} is held at ${at} by the inventory; this checkout is ${checkout}`;
}
