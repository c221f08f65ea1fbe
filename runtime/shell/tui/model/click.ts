import { notify } from "./change.js";
import { dialogKey } from "./dialogs.js";
import { layoutOf, TABLE_TOP } from "./layout.js";
import { listKey, moveTo } from "./list.js";
import type { Mouse } from "./mouse.js";
import { only, type State, type Step } from "./state.js";

/** Rows that one notch of the wheel goes. */
const NOTCH = 3;

/**
 * What the mouse does where no key is drawn (clicks on drawn keys and buttons come as those keys): a click selects a row,
 * one on the selected row opens it as Enter does, the wheel scrolls what is on top.
 */
export function mouseStep(state: State, mouse: Mouse): Step {
  if (mouse.kind === "scroll") {
    if (!state.dialog) return only(moveTo(state, state.position + mouse.by * NOTCH));
    let scrolled = state;
    for (let line = 0; line < NOTCH && scrolled.dialog; line += 1)
      scrolled = SCROLLS.has(scrolled.dialog.kind)
        ? dialogKey(scrolled, scrolled.dialog, { name: mouse.by === 1 ? "down" : "up" }).state
        : scrolled;
    return only(scrolled);
  }
  if (state.dialog) return only(state);
  const row = mouse.y - TABLE_TOP;
  const position = state.top + row;
  if (row < 0 || row >= layoutOf(state).tableRows || position >= state.table.rows.length) return only(state);
  if (position === state.position) return listKey({ ...state, filtering: false }, { name: "enter" });
  const moved = moveTo({ ...state, filtering: false }, position);
  return only(moved.notice ? moved : notify(moved, "info", "click again to open it"));
}

/** Dialogs in which up and down scroll; in the others they move between fields, which is not what a wheel is for. */
const SCROLLS: ReadonlySet<string> = new Set(["help", "error", "logs"]);
