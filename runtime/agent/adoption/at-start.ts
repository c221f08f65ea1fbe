import { toConvocateError, type AgentSettings } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { adopt } from "./adopt.js";

/** So many refusals are logged at one start; `convocate-agent install` tells all. */
const MAX_LOGGED = 20;

/**
 * Every start of the agent takes over what an earlier release left, so that a host that was one of convocate 2 shows its
 * sessions once it is provisioned. Whatever goes wrong keeps no agent from serving the others: it is logged.
 */
export async function adoptAtStart(
  settings: AgentSettings,
  parts: Parameters<typeof adopt>[1] & { log: Log },
): Promise<void> {
  const { log } = parts;
  try {
    const { sessions, refused } = await adopt(settings, parts);
    if (sessions.length > 0) log.info({ adopted: sessions.length }, "adopted sessions of an earlier release");
    for (const one of refused.slice(0, MAX_LOGGED)) log.warn({ ...one }, "not adopted");
    if (refused.length > MAX_LOGGED)
      log.warn({ refused: refused.length }, "not all refusals are logged: `convocate-agent install` tells them");
  } catch (error) {
    log.error({ error: toConvocateError(error).message }, "cannot adopt what an earlier release may have left");
  }
}
