export { Cluster, type ClusterArgs } from "./cluster.js";
export { packagesOf } from "./base.js";
export { declareHooks } from "./hooks.js";
export type { Common } from "./common.js";
