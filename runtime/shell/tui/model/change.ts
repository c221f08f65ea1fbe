import type { Session, SessionId } from "../../../domain/index.js";
import type { Effect, Notice, Operation, State, Step } from "./state.js";

/** How long a word stays in the status line. */
const NOTICE_MS = 6000;

export function notify(state: State, tone: Notice["tone"], text: string): State {
  return { ...state, notice: { tone, text, untilMs: state.nowMs + NOTICE_MS } };
}

export function withoutBusy(state: State, id: SessionId): State {
  if (!state.busy.has(id)) return state;
  const busy = new Map(state.busy);
  busy.delete(id);
  return { ...state, busy };
}

/** Starts an operation in the background: the row says so until it is done or failed. */
export function operate(state: State, operation: Operation, session: Session, force = false): Step {
  const { id, name } = session;
  const effects: Effect[] = [{ type: "operate", operation, id, name, force }];
  return { state: { ...state, busy: new Map(state.busy).set(id, operation) }, effects };
}
