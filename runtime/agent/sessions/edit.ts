import { isDeepStrictEqual } from "node:util";
import type { Limits } from "../../domain/index.js";
import type { OpParams } from "../../protocol/rpc/ops.js";
import type { Wish } from "./reserve.js";
import type { Metadata } from "./metadata.js";

/** What of a session its container is made with (SPEC 6.4): a change takes effect at the next restart. */
const OF_THE_CONTAINER = ["name", "port", "protocol", "public", "limits"] as const;

/** What an edit wants of the agent's ports and names; what is left out stays. Pure. */
export function wished(session: Metadata, change: OpParams<"edit">): Wish {
  return {
    port: change.port ?? session.port,
    protocol: change.protocol ?? session.protocol,
    dns_name: change.dns_name === undefined ? session.dns_name : change.dns_name,
  };
}

/** The session after an edit, with the port that it got. Pure. */
export function edited(session: Metadata, change: OpParams<"edit">, port: number): Metadata {
  const after: Metadata = {
    ...session,
    ...wished(session, change),
    port,
    name: change.name ?? session.name,
    public: change.public ?? session.public,
    limits: mergeLimits(session.limits, change.limits ?? {}),
  };
  const differs = OF_THE_CONTAINER.some((field) => !isDeepStrictEqual(session[field], after[field]));
  return { ...after, restart_to_apply: session.restart_to_apply || (differs && session.started_before) };
}

/** True when an edit changed nothing, so that there is nothing to write or tell. Pure. */
export function unchanged(before: Metadata, after: Metadata): boolean {
  return isDeepStrictEqual(before, after);
}

/** Null goes back to the agent's own limit. */
function mergeLimits(before: Limits, change: NonNullable<OpParams<"edit">["limits"]>): Limits {
  const merged = { ...before, ...change };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null && value !== undefined));
}
