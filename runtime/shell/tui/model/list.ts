import type { SessionView } from "../../cluster.js";
import { notify, operate } from "./change.js";
import { cloneForm, editForm, moveForm, newForm } from "./forms.js";
import type { Key } from "./keys.js";
import { layoutOf } from "./layout.js";
import { settingsForm } from "./settings.js";
import { agentRow, type AgentRow } from "./snapshot.js";
import { findSession, only, type Dialog, type Question, type State, type Step } from "./state.js";
import { SORTS, type Sort } from "./table.js";
import { filterKey, withOrder } from "./view.js";
import { DOING, nameOf, NO_AGENTS_TEXT } from "./words.js";

/** What a key does when no dialog is open. */
export function listKey(state: State, key: Key): Step {
  if (state.filtering) {
    const filtered = filterKey(state, key);
    if (filtered) return only(filtered);
  }
  const page = Math.max(1, layoutOf(state).tableRows - 1);
  switch (key.name) {
    case "up":
      return only(moveTo(state, state.position - 1));
    case "down":
      return only(moveTo(state, state.position + 1));
    case "pageup":
      return only(moveTo(state, state.position - page));
    case "pagedown":
      return only(moveTo(state, state.position + page));
    case "home":
      return only(moveTo(state, 0));
    case "end":
      return only(moveTo(state, state.table.rows.length - 1));
    case "enter":
      return onSelected(state, enter);
    case "escape":
      if (state.notice) return only({ ...state, notice: null });
      return only(state.filter === "" ? state : withOrder(state, { filter: "" }));
    case "char":
      return LETTERS[key.char]?.(state) ?? only(state);
    default:
      return only(state);
  }
}

/** Letters mean the same in both cases, but for k, which moves, and K, which kills. */
const LETTERS: Record<string, (state: State) => Step> = {
  k: (state) => only(moveTo(state, state.position - 1)),
  K: (state) => onSelected(state, kill),
  ...both("j", (state) => only(moveTo(state, state.position + 1))),
  ...both("n", create),
  ...both("c", (state) => onSelected(state, clone)),
  ...both("e", (state) => onSelected(state, edit)),
  ...both("b", (state) => onSelected(state, background)),
  ...both("r", (state) => onSelected(state, restart)),
  ...both("d", (state) => onSelected(state, (view) => ask(state, view, "delete", "no"))),
  ...both("o", (state) => onSelected(state, override)),
  ...both("m", (state) => onSelected(state, move)),
  ...both("l", (state) => onSelected(state, logs)),
  ...both("p", (state) => onSelected(state, preview)),
  // SPEC 11 gives s and S two meanings.
  s: sortNext,
  S: settings,
  "/": (state) => only({ ...state, filtering: true, notice: null }),
  "?": (state) => only({ ...state, dialog: { kind: "help", scroll: 0 } }),
  ...both("q", (state) => ({ state, effects: [{ type: "quit" }] })),
};

function both(letter: string, act: (state: State) => Step): Record<string, (state: State) => Step> {
  return { [letter]: act, [letter.toUpperCase()]: act };
}

function sortNext(state: State): Step {
  const next = SORTS[(SORTS.indexOf(state.sort) + 1) % SORTS.length] ?? "name";
  return only(sortBy(state, next));
}

function sortBy(state: State, sort: Sort): State {
  return notify(withOrder(state, { sort }), "info", `sorted by ${sort}`);
}

/** Selects the row of that number, or the one nearest to it, and scrolls to it. */
export function moveTo(state: State, to: number): State {
  const { rows } = state.table;
  const position = Math.max(0, Math.min(to, rows.length - 1));
  const selected = rows[position]?.session.id ?? null;
  if (selected === state.selected) return state;
  const { tableRows } = layoutOf(state);
  const top = Math.max(position - tableRows + 1, Math.min(state.top, position));
  return { ...state, selected, position, top: Math.max(0, top), awaited: null };
}

/** Runs `act` on the selected session; says why not where nothing can be done to it now. */
function onSelected(state: State, act: (view: SessionView, state: State) => Step): Step {
  const view = state.selected === null ? undefined : findSession(state, state.selected);
  if (!view) return only(notify(state, "info", "No session is selected. Press N to create one."));
  const running = state.busy.get(view.session.id);
  if (running) return only(notify(state, "info", `${view.session.name} is ${DOING[running]}, one moment`));
  if (!view.reachable)
    return only(
      withMessage(
        state,
        `${view.agentName} does not answer`,
        `${nameOf(view)} is shown as it was last seen. Nothing can be done to it until ${view.agentName} answers again; this screen follows by itself.` +
          whyDown(agentRow(state.snapshot, view.session.agent_id)),
      ),
    );
  return act(view, state);
}

/** As `agent-1: 10.0.0.1:222 refused the connection`, in a paragraph of its own; nothing where nothing is known. */
function whyDown(agent: AgentRow | undefined): string {
  const connection = agent?.view.connection;
  return agent && connection?.state === "connecting" && connection.error !== undefined
    ? `\n\n${agent.view.name}: ${connection.error}`
    : "";
}

/** What cannot be done to an orphan (SPEC 6.7); null for any other session. */
function orphan(view: SessionView, state: State): Step | null {
  const { session } = view;
  if (session.status.state !== "orphan") return null;
  const text =
    `It was made by an earlier release, lies in ${session.status.path} on this host and is on no agent. Move it to one:` +
    `\n\n  convocate-host migrate-session --agent AGENT --session ${session.id}\n\nD deletes it.`;
  return only(withMessage(state, `${session.name} is not migrated yet`, text));
}

function enter(view: SessionView, state: State): Step {
  const { session } = view;
  switch (session.status.state) {
    case "running":
      return { state, effects: [{ type: "attach", id: session.id, name: session.name }] };
    case "stopped":
      return ask(state, view, "start", "yes");
    case "locked":
      return only(notify(state, "info", lockText(view)));
    case "error":
      return only(withMessage(state, `Docker has a problem with ${session.name}`, session.status.message));
    case "orphan":
      return orphan(view, state) ?? only(state);
  }
}

function lockText({ session }: SessionView): string {
  return session.status.state === "locked" && session.status.stale
    ? `${session.name} has a stale lock; O clears it`
    : `${session.name} is locked by an operation, one moment`;
}

function kill(view: SessionView, state: State): Step {
  if (view.session.status.state === "stopped")
    return only(notify(state, "info", `${view.session.name} is stopped already`));
  return orphan(view, state) ?? ask(state, view, "kill", "yes");
}

function background(view: SessionView, state: State): Step {
  if (view.session.status.state === "stopped")
    return only(notify(state, "info", `${view.session.name} is not running, so nobody is attached`));
  return orphan(view, state) ?? operate(state, "background", view.session);
}

function restart(view: SessionView, state: State): Step {
  if (view.session.status.state === "running") return ask(state, view, "restart", "yes");
  return orphan(view, state) ?? operate(state, "restart", view.session);
}

function override(view: SessionView, state: State): Step {
  const { status, name } = view.session;
  if (status.state !== "locked") return only(notify(state, "info", `${name} is not locked`));
  return status.stale ? ask(state, view, "override", "yes") : ask(state, view, "override-live", "no");
}

function ask(state: State, view: SessionView, question: Question, focus: "yes" | "no"): Step {
  return only({ ...state, dialog: { kind: "ask", question, id: view.session.id, focus } });
}

function clone(view: SessionView, state: State): Step {
  const { session } = view;
  return (
    orphan(view, state) ??
    only({ ...state, dialog: { kind: "form", subject: { form: "clone", id: session.id }, form: cloneForm(session) } })
  );
}

function edit(view: SessionView, state: State): Step {
  const { session } = view;
  return (
    orphan(view, state) ??
    only({ ...state, dialog: { kind: "form", subject: { form: "edit", id: session.id }, form: editForm(session) } })
  );
}

function move(view: SessionView, state: State): Step {
  const { session } = view;
  const refused = orphan(view, state);
  if (refused) return refused;
  const form = moveForm(session, state.snapshot);
  if (form) return only({ ...state, dialog: { kind: "form", subject: { form: "move", id: session.id }, form } });
  const others = state.snapshot.agents.filter((agent) => agent.view.id !== session.agent_id);
  return only(
    others.length === 0
      ? withMessage(state, "Nowhere to move to", `${view.agentName} is the only agent.\n\n${ADD_AGENT}`)
      : withMessage(
          state,
          "Nowhere to move to",
          `No other agent answers now: ${others.map((agent) => agent.view.name).join(", ")}. They are tried again by themselves.`,
        ),
  );
}

const ADD_AGENT = NO_AGENTS_TEXT.replace("There is no agent yet. Add one", "Add another");

function logs(view: SessionView, state: State): Step {
  const { id } = view.session;
  const refused = orphan(view, state);
  if (refused) return refused;
  const dialog: Dialog = { kind: "logs", id, lines: [], back: 0, asking: true, answered: false, error: null };
  return { state: { ...state, dialog }, effects: [{ type: "logs", id }] };
}

function preview(view: SessionView, state: State): Step {
  const { id, name } = view.session;
  const refused = orphan(view, state);
  if (refused) return refused;
  if (!hasScreen(view)) return only(notify(state, "info", `${name} is not running, so it has no screen`));
  const dialog: Dialog = { kind: "preview", id, lines: null, asking: true, error: null };
  return { state: { ...state, dialog }, effects: [{ type: "screen", id }] };
}

/** Whether a session can show something: it runs, or is about to, where it can be asked. */
export function hasScreen({ session, reachable }: SessionView): boolean {
  return reachable && session.status.state !== "stopped" && session.status.state !== "orphan";
}

function settings(state: State): Step {
  const own = state.selected === null ? undefined : findSession(state, state.selected)?.session.agent_id;
  const agents = state.snapshot.agents;
  const agent = agents.find(({ view }) => view.id === own) ?? agents.find(({ reachable }) => reachable) ?? agents[0];
  if (!agent) return create(state);
  const { id } = agent.view;
  const dialog: Dialog = { kind: "settings", agent: id, loaded: null, error: null, form: settingsForm(id, null) };
  return { state: { ...state, dialog }, effects: [{ type: "settings", agent: id }] };
}

function create(state: State): Step {
  if (state.snapshot.agents.length === 0)
    return only(
      state.loaded
        ? withMessage(state, "No agents", NO_AGENTS_TEXT)
        : notify(state, "info", "Still asking for agents…"),
    );
  const form = newForm(state.snapshot);
  if (form) return only({ ...state, dialog: { kind: "form", subject: { form: "create" }, form } });
  return only(
    withMessage(
      state,
      "No agent answers",
      "A session needs an agent to run on, and none can be reached now. They are tried again by themselves." +
        state.snapshot.agents.map(whyDown).join(""),
    ),
  );
}

function withMessage(state: State, title: string, text: string): State {
  const dialog: Dialog = { kind: "error", title, text, scroll: 0 };
  return { ...state, dialog };
}
