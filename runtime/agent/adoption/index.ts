/** What the shell host needs of this room, for orphans: without the agent, and what it loads. */
export { FormerHome, type FormerHomeOptions } from "./former-home.js";
