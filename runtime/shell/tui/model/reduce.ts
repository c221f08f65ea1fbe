import type { SessionId } from "../../../domain/index.js";
import type { AttachOutcome } from "../../cluster.js";
import { dialogKey } from "./dialogs.js";
import { formPaste } from "./form.js";
import { isTooSmall, layoutOf } from "./layout.js";
import { listKey } from "./list.js";
import { makeSnapshot, type Snapshot } from "./snapshot.js";
import {
  findSession,
  type Action,
  type Dialog,
  type Effect,
  type ErrorDialog,
  type State,
  type Step,
} from "./state.js";
import { DONE } from "./words.js";
import { notify, withoutBusy } from "./change.js";

/** Errors kept while another dialog is open; more than that, and the oldest go. */
const MOST_WAITING_ERRORS = 20;

/**
 * The whole of what the TUI does: what happened in, the next state and what to do about it out. It touches nothing, and
 * returns the very same state when nothing on the screen changes.
 */
export function reduce(state: State, action: Action): Step {
  const { state: next, effects } = step(state, action);
  return { state: showWaitingError(next), effects };
}

function step(state: State, action: Action): Step {
  switch (action.type) {
    case "key":
      if (action.key.name === "ctrl-c") return { state, effects: [{ type: "quit" }] };
      // What cannot be seen is not to be worked on; only leaving is possible.
      if (isTooSmall(state.size))
        return action.key.name === "char" && action.key.char.toLowerCase() === "q"
          ? { state, effects: [{ type: "quit" }] }
          : still(state);
      return state.dialog ? dialogKey(state, state.dialog, action.key) : listKey(state, action.key);
    case "paste":
      // A paste is text. Over the list it would be a row of commands, so there it is nothing.
      return state.dialog?.kind === "create"
        ? still({ ...state, dialog: { kind: "create", form: formPaste(state.dialog.form, action.text) } })
        : still(state);
    case "cluster":
      return still(withSnapshot(state, makeSnapshot(action.sessions, action.agents)));
    case "loaded":
      return still(state.loaded ? state : { ...state, loaded: true });
    case "tick":
      return still({
        ...state,
        nowMs: action.nowMs,
        load: action.load,
        notice: state.notice && state.notice.untilMs > action.nowMs ? state.notice : null,
      });
    case "resize":
      return still(keepVisible({ ...state, size: action.size }));
    case "done":
      return done(state, action);
    case "failed": {
      const dialog = state.dialog?.kind === "starting" && state.dialog.id === action.id ? null : state.dialog;
      const title = `Could not ${action.operation} ${action.name}`;
      return still(withError({ ...withoutBusy(state, action.id), dialog }, title, action.error));
    }
    case "created": {
      const { session } = action;
      const text = `created ${session.name}${session.port > 0 ? `, port ${session.port}/${session.protocol}` : ""}`;
      const listed = state.snapshot.indexOf.has(session.id);
      const next = notify(state, "ok", text);
      return still(listed ? select(next, session.id) : { ...next, awaited: session.id });
    }
    case "create-failed":
      return still(withError(state, `Could not create ${action.form.name}`, action.error, action.form));
    case "attach-ended":
      return still(attachEnded(state, action.name, action.outcome));
  }
}

function still(state: State): Step {
  return { state, effects: [] };
}

function done(state: State, action: Extract<Action, { type: "done" }>): Step {
  const freed = withoutBusy(state, action.id);
  const next = notify(freed, "ok", doneText(action));
  const awaitsAttach =
    action.operation === "restart" && state.dialog?.kind === "starting" && state.dialog.id === action.id;
  if (!awaitsAttach) return still(next);
  const effects: Effect[] = [{ type: "attach", id: action.id, name: action.name }];
  return { state: { ...freed, dialog: null }, effects };
}

function doneText({ operation, name, detached: count = 0 }: Extract<Action, { type: "done" }>): string {
  if (operation !== "background") return `${DONE[operation]} ${name}`;
  return count === 0 ? `nobody was attached to ${name}` : `detached ${count} from ${name}`;
}

function attachEnded(state: State, name: string, outcome: AttachOutcome): State {
  if (outcome.kind === "failed") return withError(state, `Attach to ${name} failed`, outcome.error);
  return outcome.exitStatus === 0
    ? notify(state, "info", `back from ${name}`)
    : notify(state, "info", `back from ${name}, which ended with ${outcome.exitStatus}`);
}

/** The state with what the cluster says now: the selection stays on its session, or on its row when the session is gone. */
function withSnapshot(state: State, snapshot: Snapshot): State {
  const listed = { ...state, snapshot };
  const target = state.awaited !== null && snapshot.indexOf.has(state.awaited) ? state.awaited : state.selected;
  const found = target === null ? undefined : snapshot.indexOf.get(target);
  const position = found ?? Math.max(0, Math.min(state.position, snapshot.rows.length - 1));
  const next = keepVisible({
    ...listed,
    position,
    selected: snapshot.rows[position]?.session.id ?? null,
    awaited: target === state.awaited ? null : state.awaited,
  });
  return closeOrphanedDialog(state, next);
}

/** Closes a dialog whose session is no longer listed, with a word (SPEC 11). */
function closeOrphanedDialog(before: State, state: State): State {
  const id = subjectOf(state.dialog);
  if (id === null || state.snapshot.indexOf.has(id)) return state;
  const name = findSession(before, id)?.session.name ?? "The session";
  return notify({ ...state, dialog: null }, "bad", `${name} is gone, so its dialog was closed`);
}

function subjectOf(dialog: Dialog | null): SessionId | null {
  return dialog?.kind === "ask" || dialog?.kind === "starting" ? dialog.id : null;
}

function select(state: State, id: SessionId): State {
  return keepVisible({ ...state, selected: id, position: state.snapshot.indexOf.get(id) ?? state.position });
}

/** Scrolls so that the selected row can be seen, and no further. */
export function keepVisible(state: State): State {
  const { tableRows } = layoutOf(state);
  const last = Math.max(0, state.snapshot.rows.length - tableRows);
  const top = Math.max(0, Math.min(state.top, state.position, last), Math.min(state.position - tableRows + 1, last));
  return top === state.top ? state : { ...state, top };
}

function withError(state: State, title: string, error: Error & { code?: string }, form?: ErrorDialog["form"]): State {
  const dialog: ErrorDialog = { kind: "error", title, text: errorText(error), scroll: 0, ...(form ? { form } : {}) };
  const told = state.dialog ? notify(state, "bad", title) : state;
  return { ...told, waitingErrors: [...state.waitingErrors, dialog].slice(-MOST_WAITING_ERRORS) };
}

/** The whole of an error: its message, its code, and why, as far as it is known. */
function errorText(error: Error & { code?: string }): string {
  const lines = [error.code ? `${error.message} (${error.code})` : error.message];
  let { cause } = error;
  for (let depth = 0; depth < 8 && cause instanceof Error; depth += 1) {
    lines.push(`because: ${cause.message}`);
    ({ cause } = cause);
  }
  return lines.join("\n");
}

function showWaitingError(state: State): State {
  const [first, ...rest] = state.waitingErrors;
  if (state.dialog !== null || first === undefined) return state;
  return { ...state, dialog: first, waitingErrors: rest };
}
