import type { Session, SessionId } from "../../../domain/index.js";
import type { Effect, Notice, Operation, SimpleOperation, State, Step, Task } from "./state.js";

/** How long a word stays in the status line. */
const NOTICE_MS = 6000;

export function notify(state: State, tone: Notice["tone"], text: string): State {
  return { ...state, notice: { tone, text, untilMs: state.nowMs + NOTICE_MS } };
}

export function withBusy(state: State, id: SessionId, operation: Operation): State {
  return { ...state, busy: new Map(state.busy).set(id, operation) };
}

export function withoutBusy(state: State, id: SessionId): State {
  if (!state.busy.has(id)) return state;
  const busy = new Map(state.busy);
  busy.delete(id);
  return { ...state, busy };
}

/** Starts an operation in the background: the row says so until it is done or failed. */
export function operate(state: State, operation: SimpleOperation, session: Session, force = false): Step {
  const { id, name } = session;
  const effects: Effect[] = [{ type: "operate", operation, id, name, force }];
  return { state: withBusy(state, id, operation), effects };
}

/** Counts a task in; the status line says it until it is done or failed. */
export function withTask(state: State, text: string): { state: State; task: number } {
  const task = state.nextTask;
  const added: Task = { text, sinceMs: state.nowMs };
  return { task, state: { ...state, nextTask: task + 1, tasks: new Map(state.tasks).set(task, added) } };
}

export function withoutTask(state: State, task: number): State {
  const tasks = new Map(state.tasks);
  tasks.delete(task);
  return { ...state, tasks };
}
