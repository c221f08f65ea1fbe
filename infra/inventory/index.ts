export { InventoryEdit, type HostEdit, type RawEntry, type Role } from "./edit.js";
export { heldAt, heldText } from "./held.js";
export { KnownHosts } from "./known-hosts.js";
export { hostsOf, parseInventory, readInventory } from "./read.js";
export { checkoutRoot, checkStackName, inventoryPath, stackSetting } from "./stack.js";
export type { Inventory, InventoryAgent, InventoryHook, InventoryHost, InventoryShell } from "./read.js";
