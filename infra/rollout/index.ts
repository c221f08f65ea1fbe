export { configure, type Setting } from "./config.js";
export type { Difference, Operation, ResourceName, RolloutEvent } from "./events.js";
export { baseOf, excluded } from "./exclude.js";
export { destroy, plan, rollout, type Plan, type PlannedChange } from "./plan.js";
export { reach, type Reached, type Unreachable } from "./reach.js";
export { requireStack, resourceNames, type RolloutOptions } from "./stack.js";
