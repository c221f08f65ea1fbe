/** The TUI (SPEC 11). It pulls in Ink and React, so programs import it only when they draw. */
export { runTui, type TuiOptions } from "./run/run.js";
export { drawFrame, type FrameSource } from "./draw/frame.js";
