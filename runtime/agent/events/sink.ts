import type { EventType, SessionId } from "../../domain/index.js";

/** Where the agent's rooms report what happened. Never throws and never waits. */
export interface EventSink {
  emit(type: EventType, sessionId: SessionId | null, data: Record<string, unknown>): void;
}
