export * from "./capacity.js";
export * from "./errors.js";
export * from "./event.js";
export * from "./ids.js";
export * from "./paths.js";
export * from "./release.js";
export * from "./session.js";
export * from "./settings.js";
