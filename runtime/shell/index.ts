/**
 * The shell's own room. `status/` (tcp/223) and `tui/` are loaded by the verbs that need them, through their own index:
 * neither SQLite nor Ink belongs into the start of `convocate ls`.
 */
export { readHistory, type HistoryItem, type HistoryOptions } from "./agents/history.js";
export { migrateToAgent, orphansHere } from "./agents/migration.js";
export { openCluster, type ClusterOptions } from "./agents/open.js";
export { findServiceUser, type ServiceUser } from "./agents/service-user.js";
export { diagnose, type Check, type DoctorOptions } from "./doctor.js";
export { processTerminal } from "./attach/terminal.js";
export type * from "./cluster.js";
