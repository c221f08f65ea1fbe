export type { Difference, Operation, ResourceName, RolloutEvent } from "./events.js";
export { plan, rollout, type Plan, type PlannedChange } from "./plan.js";
export type { RolloutOptions } from "./stack.js";
