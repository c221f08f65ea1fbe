import { setTimeout as sleep } from "node:timers/promises";
import { ConvocateError, type SessionId } from "../../../runtime/domain/index.js";
import type { Cluster, SessionView } from "../../../runtime/shell/index.js";
import type { Client } from "./client.js";
import { LIST_TIMEOUT_MS } from "./resolve.js";

/** Seconds that `--wait` waits unless it is told: an image of 1 GB starts in a few on a small host. */
export const WAIT_SECONDS = 120;
const LOOK_EVERY_MS = 250;

/**
 * Waits until a session's CLI shows its prompt: it runs and is not `starting` any more.
 * @throws ConvocateError SESSION_NOT_RUNNING when it ended instead, TIMEOUT, or what the signal was aborted with.
 */
export async function waitUntilReady(
  cluster: Cluster,
  id: SessionId,
  { out, signal }: Pick<Client, "out" | "signal">,
  timeoutMs: number,
): Promise<SessionView> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    const view = cluster.sessions().find(({ session }) => session.id === id);
    if (!view) throw new ConvocateError("SESSION_NOT_FOUND", `session ${id} was deleted while it was waited for`);
    const { status, name } = view.session;
    if (status.state === "running" && !status.starting) return view;
    if (status.state === "stopped")
      throw new ConvocateError(
        "SESSION_NOT_RUNNING",
        `session ${name} ended while it was waited for: \`convocate logs ${name}\` may say why`,
      );
    if (performance.now() >= deadline)
      throw new ConvocateError(
        "TIMEOUT",
        `session ${name} is not ready after ${timeoutMs / 1000} s: look with \`convocate attach ${name}\``,
      );
    try {
      await sleep(LOOK_EVERY_MS, undefined, { signal });
      await cluster.refresh({ timeoutMs: LIST_TIMEOUT_MS });
    } catch (thrown) {
      if (!signal.aborted) throw thrown;
    }
    if (signal.aborted) out.note(`${name} on ${view.agentName} is not waited for, and goes on`);
  }
}
