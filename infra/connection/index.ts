export { scanHostKey } from "./dial.js";
export { createPool } from "./pool.js";
export type { Connection, ConnectionPool, HostAddress, RunOptions, RunResult } from "./types.js";
