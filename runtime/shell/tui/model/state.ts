import type { AgentId, Capacity, ConvocateError, Session, SessionId } from "../../../domain/index.js";
import type { OpResult } from "../../../protocol/rpc/ops.js";
import type { AgentView, AttachOutcome, SessionView } from "../../cluster.js";
import type { StyledText } from "../ansi.js";
import type { Form } from "./form.js";
import type { FormRequest, FormSubject } from "./forms.js";
import type { Key } from "./keys.js";
import { EMPTY_LINKS, type Links } from "./links.js";
import type { Mouse } from "./mouse.js";
import type { LoadedSettings } from "./settings.js";
import { EMPTY_SNAPSHOT, type Capacities, type Snapshot } from "./snapshot.js";
import { EMPTY_TABLE, type Sort, type Table } from "./table.js";

/**
 * Smallest terminal the screen is laid out for. SPEC 11 asks for 80x24; a tmux with its status line in such a terminal, or an
 * editor's panel, has less.
 */
export const MIN_SIZE = { cols: 80, rows: 20 } as const;

/** All that the screen shows, and all that a key's meaning depends on. */
export interface State {
  clusterName: string;
  size: Size;
  nowMs: number;
  /** The shell host's load average over 1, 5 and 15 minutes. */
  load: readonly number[];
  /** True once every agent was asked for its list. */
  loaded: boolean;
  links: Links;
  capacities: Capacities;
  snapshot: Snapshot;
  /** What of the snapshot is listed, in the order it is listed. */
  table: Table;
  sort: Sort;
  filter: string;
  /** Whether the filter is being typed. */
  filtering: boolean;
  /** The selected session; null only when there is none. */
  selected: SessionId | null;
  /** The selected row's number: where the selection stays when its session goes. */
  position: number;
  /** Number of the first visible row. */
  top: number;
  /** A session just created: selected as soon as it is listed. */
  awaited: SessionId | null;
  dialog: Dialog | null;
  /** Errors that came while another dialog was open, oldest first. */
  waitingErrors: readonly ErrorDialog[];
  /** Operations on sessions that this TUI has in flight. */
  busy: ReadonlyMap<SessionId, Operation>;
  /** Everything else in flight that was asked for here, by number. */
  tasks: ReadonlyMap<number, Task>;
  nextTask: number;
  notice: Notice | null;
}

export interface Size {
  cols: number;
  rows: number;
}

/** `edit` and `move` come from a form; the others from a key or a confirmation. */
export type Operation = "restart" | "kill" | "background" | "delete" | "override" | "edit" | "move";

export interface Task {
  /** As in `creating api on agent-1`. */
  text: string;
  sinceMs: number;
  /** How far it is, as in `1.2 of 3.4 GiB`. */
  progress?: string;
}

/** A word in the status line, gone after some seconds. */
export interface Notice {
  tone: "info" | "ok" | "bad";
  text: string;
  untilMs: number;
}

export type Question = "start" | "restart" | "kill" | "delete" | "override" | "override-live";

export interface ErrorDialog {
  kind: "error";
  title: string;
  text: string;
  /** Something went wrong; else it only says what an operator should know. */
  bad?: true;
  /** First visible line of the wrapped text. */
  scroll: number;
  /** The dialog to go back to, when what it asked for failed. */
  back?: FormDialog | SettingsDialog;
}

export interface FormDialog {
  kind: "form";
  subject: FormSubject;
  form: Form;
}

export interface SettingsDialog {
  kind: "settings";
  agent: AgentId;
  /** Null until the agent answered. */
  loaded: LoadedSettings | null;
  /** Why it did not. */
  error: string | null;
  form: Form;
}

export interface LogsDialog {
  kind: "logs";
  id: SessionId;
  lines: OpResult<"logs">["lines"];
  /** Lines between the end and what is seen; 0 follows. */
  back: number;
  asking: boolean;
  answered: boolean;
  error: string | null;
}

export interface PreviewDialog {
  kind: "preview";
  id: SessionId;
  /** Null until the first answer. */
  lines: readonly StyledText[] | null;
  asking: boolean;
  error: string | null;
}

export type Dialog =
  | { kind: "help"; scroll: number }
  | ErrorDialog
  | { kind: "ask"; question: Question; id: SessionId; focus: "yes" | "no" }
  /** Started on the way to an attach; Esc drops the attach, not the start. */
  | { kind: "starting"; id: SessionId }
  | FormDialog
  | SettingsDialog
  | LogsDialog
  | PreviewDialog;

/** What a task asks for. */
export type Request = FormRequest | { form: "settings"; agent: AgentId; change: Parameters<SettingsSet>[0] };
type SettingsSet = (change: OpResult<"settings-set">["changes"]) => void;

export type Action =
  | { type: "key"; key: Key }
  | { type: "mouse"; mouse: Mouse }
  | { type: "paste"; text: string }
  | { type: "cluster"; sessions: readonly SessionView[]; agents: readonly AgentView[] }
  | { type: "capacity"; agent: AgentId; capacity: Capacity | null }
  | { type: "loaded" }
  | { type: "tick"; nowMs: number; load: readonly number[] }
  | { type: "resize"; size: Size }
  | { type: "done"; operation: Operation; id: SessionId; name: string; detached?: number }
  | { type: "failed"; operation: Operation; id: SessionId; name: string; error: ConvocateError }
  | { type: "task-progress"; task: number; progress: string }
  | { type: "task-done"; task: number; request: Request; session?: Session; note?: string }
  | {
      type: "task-failed";
      task: number;
      request: Request;
      back: FormDialog | SettingsDialog;
      title: string;
      error: ConvocateError;
    }
  | { type: "settings"; agent: AgentId; loaded: LoadedSettings }
  | { type: "settings-failed"; agent: AgentId; error: ConvocateError }
  | { type: "logs"; id: SessionId; lines: OpResult<"logs">["lines"] }
  /** As `tmux capture-pane -e` prints it. */
  | { type: "screen"; id: SessionId; lines: readonly string[] }
  | { type: "view-failed"; view: "logs" | "preview"; id: SessionId; error: ConvocateError }
  | { type: "attach-ended"; name: string; outcome: AttachOutcome };

export type Effect =
  | { type: "quit" }
  /** Stops the program until the shell continues it (Ctrl-Z). */
  | { type: "stop" }
  | { type: "attach"; id: SessionId; name: string }
  /** `name` is for the words afterwards, when a deleted session is listed no more. */
  | { type: "operate"; operation: SimpleOperation; id: SessionId; name: string; force: boolean }
  | { type: "request"; task: number; request: Request; back: FormDialog | SettingsDialog; title: string }
  | { type: "settings"; agent: AgentId }
  | { type: "logs"; id: SessionId; after?: string }
  | { type: "screen"; id: SessionId };

/** Operations that need no more than the session. */
export type SimpleOperation = Exclude<Operation, "edit" | "move">;

export interface Step {
  state: State;
  effects: readonly Effect[];
}

export function initialState(given: {
  clusterName: string;
  size: Size;
  nowMs: number;
  load?: readonly number[];
}): State {
  return {
    load: [],
    ...given,
    loaded: false,
    links: EMPTY_LINKS,
    capacities: new Map(),
    snapshot: EMPTY_SNAPSHOT,
    table: EMPTY_TABLE,
    sort: "name",
    filter: "",
    filtering: false,
    selected: null,
    position: 0,
    top: 0,
    awaited: null,
    dialog: null,
    waitingErrors: [],
    busy: new Map(),
    tasks: new Map(),
    nextTask: 1,
    notice: null,
  };
}

/** The session with this id, when there is one, listed or filtered out. */
export function findSession(state: State, id: SessionId): SessionView | undefined {
  return state.snapshot.sessions.get(id);
}

export function only(state: State): Step {
  return { state, effects: [] };
}
