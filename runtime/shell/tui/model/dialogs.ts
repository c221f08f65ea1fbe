import { wrap } from "../text.js";
import { hasScreen, listKey, moveTo } from "./list.js";
import { notify, operate, withBusy, withTask } from "./change.js";
import { focusWrong, formKey } from "./form.js";
import { fieldsOf, problemsOf, requestOf } from "./forms.js";
import type { Key } from "./keys.js";
import { dialogWidth, errorRows, helpRows, viewRows } from "./layout.js";
import { settingsChange, settingsFields, settingsForm, settingsProblems } from "./settings.js";
import { agentRow } from "./snapshot.js";
import {
  findSession,
  only,
  type Dialog,
  type ErrorDialog,
  type FormDialog,
  type LogsDialog,
  type PreviewDialog,
  type Question,
  type Request,
  type SettingsDialog,
  type SimpleOperation,
  type State,
  type Step,
} from "./state.js";
import { DOING, nameOf } from "./words.js";

/** What a key does in a dialog. Esc leaves each of them. */
export function dialogKey(state: State, dialog: Dialog, key: Key): Step {
  const closed = { ...state, dialog: null };
  if (key.name === "escape" && dialog.kind === "starting")
    return only(notify(closed, "info", "not waiting any more; it goes on starting"));
  if (key.name === "escape" && dialog.kind !== "error") return only(closed);
  switch (dialog.kind) {
    case "help":
      if (leaves(key, "?", "q")) return only(closed);
      return only({ ...state, dialog: { ...dialog, scroll: scrolled(key, dialog.scroll, helpRows(state.size)) } });
    case "error":
      return errorKey(state, dialog, key);
    case "ask":
      return askKey(state, dialog, key);
    case "starting":
      return only(state);
    case "form":
      return formDialogKey(state, dialog, key);
    case "settings":
      return settingsKey(state, dialog, key);
    case "logs":
      return only(leaves(key, "l", "q") ? closed : { ...state, dialog: logsKey(state, dialog, key) });
    case "preview":
      return previewKey(state, dialog, key);
  }
}

function leaves(key: Key, ...letters: string[]): boolean {
  return (
    key.name === "escape" || key.name === "enter" || (key.name === "char" && letters.includes(key.char.toLowerCase()))
  );
}

/** Another first line after a key, no less than 0. The upper bound is the caller's. */
function scrolled(key: Key, scroll: number, page: number): number {
  const name = key.name === "char" ? { j: "down", k: "up" }[key.char] : key.name;
  const by = { up: -1, down: 1, pageup: -page, pagedown: page }[name as string] ?? 0;
  return Math.max(0, scroll + by);
}

function errorKey(state: State, dialog: ErrorDialog, key: Key): Step {
  if (leaves(key)) return only({ ...state, dialog: key.name === "escape" ? null : (dialog.back ?? null) });
  const rows = errorRows(state.size);
  const lines = wrap(dialog.text, dialogWidth(state.size)).length;
  const scroll = Math.max(0, Math.min(scrolled(key, dialog.scroll, rows), lines - rows));
  return only(scroll === dialog.scroll ? state : { ...state, dialog: { ...dialog, scroll } });
}

/** From one session's screen to the next, as in the list, and into it. */
function previewKey(state: State, dialog: PreviewDialog, key: Key): Step {
  const closed = { ...state, dialog: null };
  if (key.name === "enter") return listKey(closed, key);
  if (leaves(key, "p", "q")) return only(closed);
  const by = scrolled(key, 1, 1) - 1;
  if (by === 0) return only(state);
  for (let at = state.position + by; at >= 0 && at < state.table.rows.length; at += by) {
    const view = state.table.rows[at];
    if (!view || !hasScreen(view) || state.table.gone.has(view.session.id)) continue;
    const { id } = view.session;
    return {
      state: { ...moveTo(state, at), dialog: { ...dialog, id, lines: null, asking: true, error: null } },
      effects: [{ type: "screen", id }],
    };
  }
  return only(state);
}

/** Lines of logs are counted from their end, so that what is read stays in place when more come. */
function logsKey(state: State, dialog: LogsDialog, key: Key): LogsDialog {
  const rows = viewRows(state.size);
  const most = Math.max(0, dialog.lines.length - rows);
  if (key.name === "home") return { ...dialog, back: most };
  if (key.name === "end") return { ...dialog, back: 0 };
  const top = most - dialog.back;
  return { ...dialog, back: most - Math.max(0, Math.min(most, scrolled(key, top, rows - 1))) };
}

const OPERATION_OF: Record<Question, { operation: SimpleOperation; force: boolean }> = {
  start: { operation: "restart", force: false },
  restart: { operation: "restart", force: true },
  kill: { operation: "kill", force: false },
  delete: { operation: "delete", force: false },
  override: { operation: "override", force: false },
  "override-live": { operation: "override", force: true },
};

function askKey(state: State, dialog: Extract<Dialog, { kind: "ask" }>, key: Key): Step {
  const closed = { ...state, dialog: null };
  const yes = (): Step => {
    // A dialog whose session is gone has been closed, so it is there; the other case is a bug, and then nothing is done.
    const session = findSession(state, dialog.id)?.session;
    if (!session) return only(closed);
    const { operation, force } = OPERATION_OF[dialog.question];
    const step = operate(closed, operation, session, force);
    return dialog.question === "start"
      ? { ...step, state: { ...step.state, dialog: { kind: "starting", id: dialog.id } } }
      : step;
  };
  switch (key.name) {
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

function formDialogKey(state: State, dialog: FormDialog, key: Key): Step {
  const { subject } = dialog;
  const { snapshot } = state;
  const fields = fieldsOf(subject, snapshot);
  const { form, submit } = formKey(dialog.form, fields, key);
  const typed: FormDialog = { ...dialog, form };
  if (!submit) return only(form === dialog.form ? state : { ...state, dialog: typed });
  const wrong = focusWrong(form, fields, problemsOf(subject, form, snapshot));
  const request = wrong ? null : requestOf(subject, form, snapshot);
  if (!request) return only({ ...state, dialog: { ...dialog, form: wrong ?? form } });
  if (request.form === "edit" && Object.keys(request.change).length === 0)
    return only(notify({ ...state, dialog: null }, "info", "nothing was changed"));
  return send(state, request, typed);
}

/** Closes the dialog and sends what it asks for; when that fails, it comes back as it was. */
function send(state: State, request: Request, back: FormDialog | SettingsDialog): Step {
  const { doing, title } = wordsOf(state, request);
  const { state: counted, task } = withTask({ ...state, dialog: null, notice: null }, doing);
  const busy =
    request.form === "edit" || request.form === "move" ? withBusy(counted, request.id, request.form) : counted;
  return { state: busy, effects: [{ type: "request", task, request, back, title }] };
}

function wordsOf(state: State, request: Request): { doing: string; title: string } {
  const agentName = (id: Parameters<typeof agentRow>[1]): string =>
    agentRow(state.snapshot, id)?.view.name ?? "the agent";
  if (request.form === "create")
    return {
      doing: `creating ${request.spec.name} on ${agentName(request.agent)}`,
      title: `Could not create ${request.spec.name}`,
    };
  if (request.form === "settings")
    return {
      doing: `changing the settings of ${agentName(request.agent)}`,
      title: `Could not change the settings of ${agentName(request.agent)}`,
    };
  const view = findSession(state, request.id);
  const name = view ? nameOf(view) : "the session";
  if (request.form === "clone")
    return {
      doing: `cloning ${name} as ${request.name}${request.to ? ` on ${agentName(request.to)}` : ""}`,
      title: `Could not clone ${name}`,
    };
  if (request.form === "move")
    return { doing: `${DOING.move} ${name} to ${agentName(request.to)}`, title: `Could not move ${name}` };
  return { doing: `${DOING.edit} ${name}`, title: `Could not change ${name}` };
}

function settingsKey(state: State, dialog: SettingsDialog, key: Key): Step {
  const fields = settingsFields(state.snapshot, dialog.loaded);
  const { form, submit } = formKey(dialog.form, fields, key);
  const agent = state.snapshot.agents.find(({ view }) => view.id === form.values["agent"])?.view.id ?? dialog.agent;
  if (agent !== dialog.agent) {
    const next: SettingsDialog = { ...dialog, agent, loaded: null, error: null, form: settingsForm(agent, null) };
    return { state: { ...state, dialog: next }, effects: [{ type: "settings", agent }] };
  }
  const typed: SettingsDialog = { ...dialog, form };
  if (!submit) return only(form === dialog.form ? state : { ...state, dialog: typed });
  const wrong = focusWrong(form, fields, settingsProblems(form, dialog.loaded));
  if (wrong) return only({ ...state, dialog: { ...dialog, form: wrong } });
  const change = settingsChange(form);
  if (!dialog.loaded || Object.keys(change).length === 0) return only({ ...state, dialog: null });
  return send(state, { form: "settings", agent, change }, typed);
}
