/**
 * The shell's own room. `status/` (tcp/223) and `tui/` are loaded by the verbs that need them, through their own index:
 * neither SQLite nor Ink belongs into the start of `convocate ls`.
 */
export { keepConnections } from "./agents/keep.js";
export { openCluster, type ClusterOptions } from "./agents/open.js";
export { findServiceUser, type ServiceUser } from "./agents/service-user.js";
export { processTerminal } from "./attach/terminal.js";
export type * from "./cluster.js";
