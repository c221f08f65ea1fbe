import { readableLog } from "../../../domain/index.js";
import { notify } from "./change.js";
import { viewRows } from "./layout.js";
import { cleaned } from "./snapshot.js";
import {
  only,
  type ErrorDialog,
  type FormDialog,
  type LogsDialog,
  type SettingsDialog,
  type State,
  type Step,
} from "./state.js";

/** Errors kept while another dialog is open; more than that, and the oldest go. */
const MOST_WAITING_ERRORS = 20;
/** Lines of a log kept to scroll back in. */
const MOST_LOG_LINES = 5000;

/** An error in a dialog of its own; while another dialog is open it waits, with a word. */
export function withError(
  state: State,
  title: string,
  error: Error & { code?: string },
  back?: FormDialog | SettingsDialog,
): State {
  const dialog: ErrorDialog = {
    kind: "error",
    title,
    text: errorText(error),
    bad: true,
    scroll: 0,
    ...(back ? { back } : {}),
  };
  const told = state.dialog ? notify(state, "bad", title) : state;
  return { ...told, waitingErrors: [...state.waitingErrors, dialog].slice(-MOST_WAITING_ERRORS) };
}

/** The whole of an error: its message, its code, and why, as far as it is known. */
export function errorText(error: Error & { code?: string }): string {
  const lines = [error.code ? `${error.message} (${error.code})` : error.message];
  let { cause } = error;
  for (let depth = 0; depth < 8 && cause instanceof Error; depth += 1) {
    // An error that was given more words on its way says the same twice.
    if (!lines.some((line) => line.includes((cause as Error).message))) lines.push(`because: ${cause.message}`);
    ({ cause } = cause);
  }
  return lines.join("\n");
}

export function showWaitingError(state: State): State {
  const [first, ...rest] = state.waitingErrors;
  if (state.dialog !== null || first === undefined) return state;
  return { ...state, dialog: first, waitingErrors: rest };
}

/** More lines at the end. What is being read stays where it is; at the end, the view follows. */
export function withLogs(dialog: LogsDialog, more: LogsDialog["lines"]): LogsDialog {
  const known = dialog.lines.at(-1)?.timestamp;
  const newer = known === undefined ? more : more.filter(({ timestamp }) => timestamp > known);
  const added = cleaned(newer.map(({ timestamp, text }) => ({ timestamp, text: readableLog(text) })));
  const lines = added.length === 0 ? dialog.lines : [...dialog.lines, ...added].slice(-MOST_LOG_LINES);
  const back = dialog.back === 0 ? 0 : dialog.back + added.length;
  return { ...dialog, lines, back, asking: false, answered: true, error: null };
}

/** Logs and previews are asked for again every second while they are looked at, one question at a time. */
export function nextQuestions(state: State): Step {
  const { dialog } = state;
  if (dialog?.kind === "logs" && !dialog.asking) {
    const after = dialog.lines.at(-1)?.timestamp;
    const effect = { type: "logs", id: dialog.id, ...(after === undefined ? {} : { after }) } as const;
    return { state: { ...state, dialog: { ...dialog, asking: true } }, effects: [effect] };
  }
  if (dialog?.kind === "preview" && !dialog.asking)
    return { state: { ...state, dialog: { ...dialog, asking: true } }, effects: [{ type: "screen", id: dialog.id }] };
  return only(state);
}

/** First line of the log that is seen. */
export function logsTop(state: State, dialog: LogsDialog): number {
  return Math.max(0, dialog.lines.length - viewRows(state.size) - dialog.back);
}
