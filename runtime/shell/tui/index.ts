/** The TUI (SPEC 11). Programs import it only when they draw; it imports Ink and React itself, once the first list is drawn. */
export { runTui, type TuiOptions } from "./run/run.js";
export { drawFrame, type FrameSource } from "./draw/frame.js";
