export { Cluster, type ClusterArgs } from "./cluster.js";
export type { Common } from "./common.js";
