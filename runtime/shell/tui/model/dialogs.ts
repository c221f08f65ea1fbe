import { wrap } from "../text.js";
import { notify, operate } from "./change.js";
import { formKey } from "./form.js";
import type { Key } from "./keys.js";
import { dialogWidth, errorRows } from "./layout.js";
import {
  findSession,
  type Dialog,
  type ErrorDialog,
  type Operation,
  type Question,
  type State,
  type Step,
} from "./state.js";

/** What a key does in a dialog. Esc leaves each of them. */
export function dialogKey(state: State, dialog: Dialog, key: Key): Step {
  switch (dialog.kind) {
    case "help":
      return only(leaves(key, "?", "q") ? { ...state, dialog: null } : state);
    case "error":
      return errorKey(state, dialog, key);
    case "ask":
      return askKey(state, dialog, key);
    case "starting":
      if (key.name !== "escape") return only(state);
      return only(notify({ ...state, dialog: null }, "info", "not waiting any more; it goes on starting"));
    case "create": {
      if (key.name === "escape") return only({ ...state, dialog: null });
      const { form, request } = formKey(dialog.form, key, state.snapshot);
      if (!request) return only({ ...state, dialog: { kind: "create", form } });
      const agent = state.snapshot.agents.find(({ view }) => view.id === request.agent);
      const doing = notify(
        { ...state, dialog: null },
        "info",
        `creating ${form.name} on ${agent?.view.name ?? "agent"}…`,
      );
      return { state: doing, effects: [{ type: "create", ...request }] };
    }
  }
}

function only(state: State): Step {
  return { state, effects: [] };
}

function leaves(key: Key, ...letters: string[]): boolean {
  return (
    key.name === "escape" || key.name === "enter" || (key.name === "char" && letters.includes(key.char.toLowerCase()))
  );
}

function errorKey(state: State, dialog: ErrorDialog, key: Key): Step {
  if (leaves(key)) {
    const back: Dialog | null = dialog.form ? { kind: "create", form: dialog.form } : null;
    return only({ ...state, dialog: back });
  }
  const by = { up: -1, down: 1, pageup: -errorRows(state.size), pagedown: errorRows(state.size) }[key.name as string];
  if (by === undefined) return only(state);
  const lines = wrap(dialog.text, dialogWidth(state.size)).length;
  const scroll = Math.max(0, Math.min(dialog.scroll + by, lines - errorRows(state.size)));
  return only({ ...state, dialog: { ...dialog, scroll } });
}

const OPERATION_OF: Record<Question, Operation> = {
  start: "restart",
  restart: "restart",
  kill: "kill",
  delete: "delete",
};

function askKey(state: State, dialog: Extract<Dialog, { kind: "ask" }>, key: Key): Step {
  const closed = { ...state, dialog: null };
  const yes = (): Step => {
    // A dialog whose session is gone has been closed, so it is there; the other case is a bug, and then nothing is done.
    const session = findSession(state, dialog.id)?.session;
    if (!session) return only(closed);
    const step = operate(closed, OPERATION_OF[dialog.question], session, dialog.question === "restart");
    return dialog.question === "start"
      ? { ...step, state: { ...step.state, dialog: { kind: "starting", id: dialog.id } } }
      : step;
  };
  switch (key.name) {
    case "escape":
      return only(closed);
    case "enter":
      return dialog.focus === "yes" ? yes() : only(closed);
    case "left":
    case "right":
    case "tab":
    case "backtab":
      return only({ ...state, dialog: { ...dialog, focus: dialog.focus === "yes" ? "no" : "yes" } });
    case "char":
      if (key.char.toLowerCase() === "y") return yes();
      if (key.char.toLowerCase() === "n") return only(closed);
      return only(state);
    default:
      return only(state);
  }
}
