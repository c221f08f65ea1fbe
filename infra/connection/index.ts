export { scanHostKey } from "./dial.js";
export { credentialsFor, jumpHost } from "./credentials.js";
export { preferredKey } from "./host-keys.js";
export { createPool } from "./pool.js";
export { quoteArgv, quoteWord } from "./quote.js";
export { sudoArgv, sudoInput } from "./sudo.js";
export type { Connection, ConnectionPool, HostAddress, RunOptions, RunResult, SshLogin } from "./types.js";
