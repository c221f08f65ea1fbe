import type { ConvocateError, Session, SessionId } from "../../../domain/index.js";
import type { AgentView, AttachOutcome, SessionView } from "../../cluster.js";
import type { CreateForm, CreateRequest } from "./form.js";
import type { Key } from "./keys.js";
import { EMPTY_SNAPSHOT, type Snapshot } from "./snapshot.js";

/** Smallest terminal the screen is laid out for (SPEC 11). */
export const MIN_SIZE = { cols: 80, rows: 24 } as const;

/** All that the screen shows, and all that a key's meaning depends on. */
export interface State {
  clusterName: string;
  size: Size;
  nowMs: number;
  /** The shell host's load average over 1, 5 and 15 minutes. */
  load: readonly number[];
  /** True once every agent was asked for its list. */
  loaded: boolean;
  snapshot: Snapshot;
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
  /** Operations that this TUI has in flight. */
  busy: ReadonlyMap<SessionId, Operation>;
  notice: Notice | null;
}

export interface Size {
  cols: number;
  rows: number;
}

export type Operation = "restart" | "kill" | "background" | "delete";

/** A word in the status line, gone after some seconds. */
export interface Notice {
  tone: "info" | "ok" | "bad";
  text: string;
  untilMs: number;
}

export type Question = "start" | "restart" | "kill" | "delete";

export type ErrorDialog = {
  kind: "error";
  title: string;
  text: string;
  /** First visible line of the wrapped text. */
  scroll: number;
  /** The form to go back to, when what it asked for failed. */
  form?: CreateForm;
};

export type Dialog =
  | { kind: "help" }
  | ErrorDialog
  | { kind: "ask"; question: Question; id: SessionId; focus: "yes" | "no" }
  /** Started on the way to an attach; Esc drops the attach, not the start. */
  | { kind: "starting"; id: SessionId }
  | { kind: "create"; form: CreateForm };

export type Action =
  | { type: "key"; key: Key }
  | { type: "paste"; text: string }
  | { type: "cluster"; sessions: readonly SessionView[]; agents: readonly AgentView[] }
  | { type: "loaded" }
  | { type: "tick"; nowMs: number; load: readonly number[] }
  | { type: "resize"; size: Size }
  | { type: "done"; operation: Operation; id: SessionId; name: string; detached?: number }
  | { type: "failed"; operation: Operation; id: SessionId; name: string; error: ConvocateError }
  | { type: "created"; session: Session }
  | { type: "create-failed"; form: CreateForm; error: ConvocateError }
  | { type: "attach-ended"; name: string; outcome: AttachOutcome };

export type Effect =
  | { type: "quit" }
  | { type: "attach"; id: SessionId; name: string }
  /** `name` is for the words afterwards, when a deleted session is listed no more. */
  | { type: "operate"; operation: Operation; id: SessionId; name: string; force: boolean }
  | ({ type: "create" } & CreateRequest);

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
    snapshot: EMPTY_SNAPSHOT,
    selected: null,
    position: 0,
    top: 0,
    awaited: null,
    dialog: null,
    waitingErrors: [],
    busy: new Map(),
    notice: null,
  };
}

/** The session with this id, when it is listed. */
export function findSession(state: State, id: SessionId): SessionView | undefined {
  const index = state.snapshot.indexOf.get(id);
  return index === undefined ? undefined : state.snapshot.rows[index];
}
