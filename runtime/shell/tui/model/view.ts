import type { SessionId } from "../../../domain/index.js";
import { layoutOf } from "./layout.js";
import type { Key } from "./keys.js";
import type { Dialog, State } from "./state.js";
import { heldTable, makeTable, type Sort } from "./table.js";

/** Longest filter that can be typed. */
const FILTER_MAX = 60;

/** Another order or filter; the selection stays on its session where that is still listed. */
export function withOrder(state: State, change: { filter?: string; sort?: Sort }): State {
  return relisted({ ...state, ...change });
}

/** What a key does while the filter is typed; null when it is for the list as always (arrows, pages). */
export function filterKey(state: State, key: Key): State | null {
  switch (key.name) {
    case "escape":
      return withOrder({ ...state, filtering: false }, { filter: "" });
    case "enter":
      return { ...state, filtering: false };
    case "backspace":
      if (state.filter === "") return { ...state, filtering: false };
      return withOrder(state, { filter: Array.from(state.filter).slice(0, -1).join("") });
    case "ctrl-u":
      return withOrder(state, { filter: "" });
    case "ctrl-w":
      return withOrder(state, { filter: state.filter.replace(/\S*\s*$/, "") });
    case "char":
      return withFilterText(state, key.char);
    default:
      return null;
  }
}

export function withFilterText(state: State, text: string): State {
  const plain = text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "");
  return withOrder(state, { filter: (state.filter + plain).slice(0, FILTER_MAX) });
}

/**
 * The table made anew of what is known now. While a dialog is open its rows stay where they are: what comes is listed
 * when the dialog closes, what goes leaves then.
 */
export function relisted(state: State): State {
  if (state.dialog !== null) return { ...state, table: heldTable(state.table, state.snapshot) };
  const table = makeTable(state.snapshot, state.filter, state.sort);
  const target = state.awaited !== null && table.indexOf.has(state.awaited) ? state.awaited : state.selected;
  const found = target === null ? undefined : table.indexOf.get(target);
  const position = found ?? Math.max(0, Math.min(state.position, table.rows.length - 1));
  return keepVisible({
    ...state,
    table,
    position,
    selected: table.rows[position]?.session.id ?? null,
    awaited: target === state.awaited ? null : state.awaited,
  });
}

/** Scrolls so that the selected row can be seen, and no further. */
export function keepVisible(state: State): State {
  const { tableRows } = layoutOf(state);
  const last = Math.max(0, state.table.rows.length - tableRows);
  const top = Math.max(0, Math.min(state.top, state.position, last), Math.min(state.position - tableRows + 1, last));
  return top === state.top ? state : { ...state, top };
}

/** The session that a dialog is about; null when it is about none. */
export function subjectOf(dialog: Dialog | null): SessionId | null {
  switch (dialog?.kind) {
    case "ask":
    case "starting":
    case "logs":
    case "preview":
      return dialog.id;
    case "form":
      return "id" in dialog.subject ? dialog.subject.id : null;
    default:
      return null;
  }
}
