import type { SessionView } from "../../cluster.js";
import { notify, operate } from "./change.js";
import { newForm } from "./form.js";
import type { Key } from "./keys.js";
import { layoutOf } from "./layout.js";
import { findSession, type Dialog, type Operation, type Question, type State, type Step } from "./state.js";
import { DOING, nameOf, NO_AGENTS_TEXT } from "./words.js";

/** What a key does when no dialog is open. */
export function listKey(state: State, key: Key): Step {
  const page = Math.max(1, layoutOf(state).tableRows - 1);
  switch (key.name) {
    case "up":
      return move(state, state.position - 1);
    case "down":
      return move(state, state.position + 1);
    case "pageup":
      return move(state, state.position - page);
    case "pagedown":
      return move(state, state.position + page);
    case "home":
      return move(state, 0);
    case "end":
      return move(state, state.snapshot.rows.length - 1);
    case "enter":
      return onSelected(state, enter);
    case "escape":
      return only(state.notice ? { ...state, notice: null } : state);
    case "char":
      return letter(state, key.char);
    default:
      return only(state);
  }
}

/** Letters mean the same in both cases, but for k, which moves, and K, which kills. */
function letter(state: State, char: string): Step {
  switch (char) {
    case "k":
      return move(state, state.position - 1);
    case "K":
      return onSelected(state, (view) => kill(state, view));
    case "j":
    case "J":
      return move(state, state.position + 1);
    case "n":
    case "N":
      return create(state);
    case "b":
    case "B":
      return onSelected(state, (view) => background(state, view));
    case "r":
    case "R":
      return onSelected(state, (view) => restart(state, view));
    case "d":
    case "D":
      return onSelected(state, (view) => ask(state, view, "delete", "no"));
    case "?":
      return only({ ...state, dialog: { kind: "help" } });
    case "q":
    case "Q":
      return { state, effects: [{ type: "quit" }] };
    default:
      return only(state);
  }
}

function only(state: State): Step {
  return { state, effects: [] };
}

function move(state: State, to: number): Step {
  const { rows } = state.snapshot;
  const position = Math.max(0, Math.min(to, rows.length - 1));
  const selected = rows[position]?.session.id ?? null;
  if (selected === state.selected) return only(state);
  const { tableRows } = layoutOf(state);
  const top = Math.max(position - tableRows + 1, Math.min(state.top, position));
  return only({ ...state, selected, position, top: Math.max(0, top), awaited: null });
}

/** Runs `act` on the selected session; says why not where nothing can be done to it now. */
function onSelected(state: State, act: (view: SessionView, state: State) => Step): Step {
  const view = state.selected === null ? undefined : findSession(state, state.selected);
  if (!view) return only(notify(state, "info", "No session is selected. Press N to create one."));
  const running: Operation | undefined = state.busy.get(view.session.id);
  if (running) return only(notify(state, "info", `${view.session.name} is ${DOING[running]}, one moment`));
  if (!view.reachable)
    return only(
      withMessage(
        state,
        `${view.agentName} does not answer`,
        `${nameOf(view)} is shown as it was last seen. Nothing can be done to it until ${view.agentName} answers again; this screen follows by itself.`,
      ),
    );
  return act(view, state);
}

function enter(view: SessionView, state: State): Step {
  const { session } = view;
  switch (session.status.state) {
    case "running":
      return { state, effects: [{ type: "attach", id: session.id, name: session.name }] };
    case "stopped":
      return ask(state, view, "start", "yes");
    case "locked":
      return only(notify(state, "info", `${session.name} is locked by an operation, one moment`));
    case "error":
      return only(withMessage(state, `Docker has a problem with ${session.name}`, session.status.message));
    case "orphan":
      return only(
        withMessage(
          state,
          `${session.name} is not migrated yet`,
          `It was made by an earlier release and is on no agent. Move it to one: convocate-host migrate-session --agent AGENT --session ${session.id}`,
        ),
      );
  }
}

function kill(state: State, view: SessionView): Step {
  if (view.session.status.state === "stopped")
    return only(notify(state, "info", `${view.session.name} is stopped already`));
  return ask(state, view, "kill", "yes");
}

function background(state: State, view: SessionView): Step {
  if (view.session.status.state === "stopped")
    return only(notify(state, "info", `${view.session.name} is not running, so nobody is attached`));
  return operate(state, "background", view.session);
}

function restart(state: State, view: SessionView): Step {
  if (view.session.status.state === "running") return ask(state, view, "restart", "yes");
  return operate(state, "restart", view.session);
}

function ask(state: State, view: SessionView, question: Question, focus: "yes" | "no"): Step {
  return only({ ...state, dialog: { kind: "ask", question, id: view.session.id, focus } });
}

function create(state: State): Step {
  if (state.snapshot.agents.length === 0)
    return only(
      state.loaded
        ? withMessage(state, "No agents", NO_AGENTS_TEXT)
        : notify(state, "info", "Still asking for agents…"),
    );
  const form = newForm(state.snapshot);
  if (form) return only({ ...state, dialog: { kind: "create", form } });
  const names = state.snapshot.agents.map(({ view }) => view.name).join(", ");
  return only(
    withMessage(
      state,
      "No agent answers",
      `A session needs an agent to run on, and none can be reached now: ${names}. They are tried again by themselves; ` +
        "`convocate agents` says what is wrong with each.",
    ),
  );
}

function withMessage(state: State, title: string, text: string): State {
  const dialog: Dialog = { kind: "error", title, text, scroll: 0 };
  return { ...state, dialog };
}
