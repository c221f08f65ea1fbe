export * from "./attach/header.js";
export * from "./log.js";
export * from "./rpc/ops.js";
export type * from "./ssh/types.js";
