import type { Metadata } from "../../runtime/agent/sessions/metadata.js";
import { AgentSettings, newSessionId, type EffectiveSettings } from "../../runtime/domain/index.js";

const { capacity, session } = AgentSettings.parse({ name: "sample" });
/** What is in force on an agent whose stack says nothing. */
export const STACK_SETTINGS: EffectiveSettings = { ...capacity, ...session.limits };

/** A session as an agent knows it: stopped, with nothing published and no limits of its own. */
export function sampleMetadata(change: Partial<Metadata> = {}): Metadata {
  return {
    id: newSessionId(),
    name: "one",
    port: 0,
    protocol: "tcp",
    dns_name: null,
    public: false,
    docker: false,
    restart_to_apply: false,
    limits: {},
    created_at: "2026-11-21T12:00:00.000Z",
    last_accessed_at: "2026-11-21T12:00:00.000Z",
    request_id: "request-1",
    started_before: false,
    ...change,
  };
}
