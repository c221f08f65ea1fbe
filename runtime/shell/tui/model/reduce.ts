import { styledScreen } from "../ansi.js";
import { notify, withoutBusy, withoutTask } from "./change.js";
import { dialogKey } from "./dialogs.js";
import { formPaste } from "./form.js";
import { fieldsOf } from "./forms.js";
import { isTooSmall } from "./layout.js";
import { listKey } from "./list.js";
import { mouseStep } from "./click.js";
import { watchLinks } from "./links.js";
import { settingsFields, settingsForm } from "./settings.js";
import { agentRow, makeSnapshot } from "./snapshot.js";
import { errorText, nextQuestions, showWaitingError, withError, withLogs } from "./answers.js";
import { findSession, only, type Action, type Effect, type State, type Step } from "./state.js";
import { keepVisible, relisted, subjectOf, withFilterText } from "./view.js";
import { DONE } from "./words.js";

/**
 * The whole of what the TUI does: what happened in, the next state and what to do about it out. It touches nothing, and
 * returns the very same state when nothing on the screen changes.
 */
export function reduce(state: State, action: Action): Step {
  const { state: next, effects } = step(state, action);
  // What was held back while the dialog was open is listed now.
  const listed = state.dialog !== null && next.dialog === null ? relisted(next) : next;
  return { state: showWaitingError(listed), effects };
}

function step(state: State, action: Action): Step {
  switch (action.type) {
    case "key":
      if (action.key.name === "ctrl-c") return { state, effects: [{ type: "quit" }] };
      if (action.key.name === "ctrl-z") return { state, effects: [{ type: "stop" }] };
      // What cannot be seen is not to be worked on; only leaving is possible.
      if (isTooSmall(state.size))
        return action.key.name === "char" && action.key.char.toLowerCase() === "q"
          ? { state, effects: [{ type: "quit" }] }
          : only(state);
      return state.dialog ? dialogKey(state, state.dialog, action.key) : listKey(state, action.key);
    case "mouse":
      return isTooSmall(state.size) ? only(state) : mouseStep(state, action.mouse);
    case "paste":
      return only(pasted(state, action.text));
    case "cluster":
      return only(withCluster(state, action));
    case "capacity":
      return only(withCapacity(state, action));
    case "loaded":
      return only(state.loaded ? state : { ...state, loaded: true });
    case "tick":
      return tick(state, action);
    case "resize":
      return only(keepVisible({ ...state, size: action.size }));
    case "done":
      return done(state, action);
    case "failed": {
      const dialog = state.dialog?.kind === "starting" && state.dialog.id === action.id ? null : state.dialog;
      const title = `Could not ${action.operation} ${action.name}`;
      return only(withError({ ...withoutBusy(state, action.id), dialog }, title, action.error));
    }
    case "task-progress": {
      const task = state.tasks.get(action.task);
      if (!task) return only(state);
      return only({ ...state, tasks: new Map(state.tasks).set(action.task, { ...task, progress: action.progress }) });
    }
    case "task-done":
      return only(taskDone(state, action));
    case "task-failed": {
      const ended = withoutTask(state, action.task);
      const { request } = action;
      const freed = request.form === "edit" || request.form === "move" ? withoutBusy(ended, request.id) : ended;
      return only(withError(freed, action.title, action.error, action.back));
    }
    case "attach-ended":
      return only(attachEnded(state, action));
    default:
      return only(answered(state, action));
  }
}

/** A paste is text. Over the list it would be a row of commands, so there it is nothing. */
function pasted(state: State, text: string): State {
  const { dialog } = state;
  if (dialog === null) return state.filtering ? withFilterText(state, text) : state;
  if (dialog.kind !== "form" && dialog.kind !== "settings") return state;
  const fields =
    dialog.kind === "form" ? fieldsOf(dialog.subject, state.snapshot) : settingsFields(state.snapshot, dialog.loaded);
  const field = fields.find(({ name }) => name === dialog.form.focus);
  return { ...state, dialog: { ...dialog, form: formPaste(dialog.form, field, text) } };
}

type Of<T extends Action["type"]> = Extract<Action, { type: T }>;

/** The state with what the cluster says now. */
function withCluster(state: State, { sessions, agents }: Of<"cluster">): State {
  const links = watchLinks(state.links, agents, state.nowMs);
  const known = { links, capacities: state.capacities, nowMs: state.nowMs };
  return closeOrphanedDialog(state, relisted({ ...state, links, snapshot: makeSnapshot(sessions, agents, known) }));
}

function withCapacity(state: State, { agent, capacity }: Of<"capacity">): State {
  const capacities = new Map(state.capacities);
  if (capacity) capacities.set(agent, capacity);
  else capacities.delete(agent);
  const agents = state.snapshot.agents.map((row) =>
    row.view.id === agent ? { ...row, capacity: row.reachable ? capacity : null } : row,
  );
  return { ...state, capacities, snapshot: { ...state.snapshot, agents } };
}

/** Closes a dialog whose session is there no more, with a word (SPEC 11). */
function closeOrphanedDialog(before: State, state: State): State {
  const id = subjectOf(state.dialog);
  if (id === null || state.snapshot.sessions.has(id)) return state;
  const name = findSession(before, id)?.session.name ?? "The session";
  return notify({ ...state, dialog: null }, "bad", `${name} is gone, so its dialog was closed`);
}

function tick(state: State, { nowMs, load }: Of<"tick">): Step {
  const notice = state.notice && state.notice.untilMs > nowMs ? state.notice : null;
  return nextQuestions({ ...state, nowMs, load, notice });
}

function done(state: State, action: Of<"done">): Step {
  const freed = withoutBusy(state, action.id);
  const awaitsAttach =
    action.operation === "restart" && state.dialog?.kind === "starting" && state.dialog.id === action.id;
  if (!awaitsAttach) return only(notify(freed, "ok", doneText(action)));
  const effects: Effect[] = [{ type: "attach", id: action.id, name: action.name }];
  return { state: { ...freed, dialog: null }, effects };
}

function doneText({ operation, name, detached = 0 }: Of<"done">): string {
  if (operation !== "background") return `${DONE[operation]} ${name}`;
  return detached === 0 ? `nobody was attached to ${name}` : `detached ${detached} from ${name}`;
}

function taskDone(state: State, { task, request, session, note }: Of<"task-done">): State {
  const ended = withoutTask(state, task);
  const freed = request.form === "edit" || request.form === "move" ? withoutBusy(ended, request.id) : ended;
  // What an operator should know beside that it is done is shown whole, and stays until it is read.
  const noted: State = note
    ? {
        ...freed,
        waitingErrors: [...freed.waitingErrors, { kind: "error", title: "Done, but", text: note, scroll: 0 }],
      }
    : freed;
  const said = (text: string): State => notify(noted, "ok", text);
  switch (request.form) {
    case "create":
    case "clone": {
      if (!session) return freed;
      const port = session.port > 0 ? `, port ${session.port}/${session.protocol}` : "";
      const told = said(`${request.form === "create" ? "created" : "cloned to"} ${session.name}${port}`);
      return relisted({ ...told, awaited: session.id });
    }
    case "edit":
      return said(
        `${DONE.edit} ${session?.name ?? "it"}${session?.restart_to_apply ? ", R restarts it to apply" : ""}`,
      );
    case "move":
      return said(`${DONE.move} ${session?.name ?? "it"}`);
    case "settings":
      return said(`changed the settings of ${agentRow(state.snapshot, request.agent)?.view.name ?? "the agent"}`);
  }
}

function attachEnded(state: State, { name, outcome }: Of<"attach-ended">): State {
  if (outcome.kind === "failed") return withError(state, `Attach to ${name} failed`, outcome.error);
  return outcome.exitStatus === 0
    ? notify(state, "info", `back from ${name}`)
    : notify(state, "info", `back from ${name}, which ended with ${outcome.exitStatus}`);
}

/** An answer to what a dialog asked; too late when that dialog is closed. */
function answered(
  state: State,
  action: Of<"settings"> | Of<"settings-failed"> | Of<"logs"> | Of<"screen"> | Of<"view-failed">,
): State {
  const { dialog } = state;
  switch (action.type) {
    case "settings":
      if (dialog?.kind !== "settings" || dialog.agent !== action.agent) return state;
      return {
        ...state,
        dialog: { ...dialog, loaded: action.loaded, error: null, form: settingsForm(action.agent, action.loaded) },
      };
    case "settings-failed":
      if (dialog?.kind !== "settings" || dialog.agent !== action.agent) return state;
      return { ...state, dialog: { ...dialog, error: errorText(action.error) } };
    case "logs":
      if (dialog?.kind !== "logs" || dialog.id !== action.id) return state;
      return { ...state, dialog: withLogs(dialog, action.lines) };
    case "screen":
      if (dialog?.kind !== "preview" || dialog.id !== action.id) return state;
      return { ...state, dialog: { ...dialog, lines: styledScreen(action.lines), asking: false, error: null } };
    case "view-failed":
      if (dialog?.kind !== action.view || !("id" in dialog) || dialog.id !== action.id) return state;
      return { ...state, dialog: { ...dialog, asking: false, error: errorText(action.error) } };
  }
}
