export { InventoryEdit, type HostEdit, type RawEntry, type Role } from "./edit.js";
export { KnownHosts } from "./knownHosts.js";
export { parseInventory, readInventory } from "./read.js";
export type { Inventory, InventoryAgent, InventoryHost, InventoryShell } from "./read.js";
