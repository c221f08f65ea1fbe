import type { Metadata } from "../../runtime/agent/sessions/metadata.js";
import { AgentSettings, newSessionId, type EffectiveSettings, type Session } from "../../runtime/domain/index.js";

const { capacity, session } = AgentSettings.parse({ name: "sample" });
/** What is in force on an agent whose stack says nothing. */
export const STACK_SETTINGS: EffectiveSettings = { ...capacity, ...session.limits };

/** Of a session for which nothing was asked: nothing published, no limits of its own. */
export const PLAIN = {
  port: 0,
  protocol: "tcp",
  dns_name: null,
  public: false,
  docker: false,
  restart_to_apply: false,
  limits: {},
} as const satisfies Partial<Session>;

/** A session as an agent knows it: stopped, with nothing published and no limits of its own. */
export function sampleMetadata(change: Partial<Metadata> = {}): Metadata {
  return {
    id: newSessionId(),
    name: "one",
    ...PLAIN,
    created_at: "2026-11-21T12:00:00.000Z",
    last_accessed_at: "2026-11-21T12:00:00.000Z",
    request_id: "request-1",
    started_before: false,
    ...change,
  };
}
