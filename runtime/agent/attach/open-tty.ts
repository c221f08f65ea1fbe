import type { Readable } from "node:stream";
import type { AgentSettings } from "../../domain/index.js";
import type { AttachHeader } from "../../protocol/attach/header.js";
import type { Log } from "../../protocol/log.js";
import { within, type Clock } from "../clock.js";
import type { DockerEngine, TtyExec } from "../containers/engine.js";
import { endClient, type HostProcesses } from "./end-client.js";
import { attachRequest } from "./tmux.js";

/** tmux draws at once; a host that is very busy may take seconds to start its client. */
const SILENT_MS = 4_000;
const TRIES = 3;

export interface OpenTtyOptions {
  docker: DockerEngine;
  settings: AgentSettings;
  processes: HostProcesses;
  clock: Clock;
  log: Log;
}

/**
 * Starts the process of an attach and waits for its first output, which stays in the stream.
 *
 * One that stays silent is ended and started anew: containerd's shim (seen with 1.6.20 of Debian 12) now and then loses an
 * exec's TTY from its epoll set when another exec of that container ends at this moment; it waits for ever then, although tmux
 * is attached. One attach ends as another begins after every lost connection. The last try is taken as it is.
 * @throws ConvocateError SESSION_NOT_RUNNING, DOCKER_ERROR, TIMEOUT.
 */
export async function openTty(
  { docker, settings, processes, clock, log }: OpenTtyOptions,
  containerId: string,
  header: AttachHeader,
  gone: AbortSignal,
): Promise<TtyExec> {
  for (let left = TRIES - 1; ; left--) {
    const tty = await docker.openTty(containerId, attachRequest(settings, header));
    if (left === 0 || (await speaks(tty.stream, clock, gone))) return tty;
    log.warn({ session: header.id }, "Docker shows nothing of an attach that was started: starting another");
    await endClient({ state: () => tty.state(), lastPid: 0, containerId, processes, clock });
    tty.stream.destroy();
  }
}

/** False when nothing came in time. What ended, or whose client is gone, need not be waited for. */
async function speaks(stream: Readable, clock: Clock, gone: AbortSignal): Promise<boolean> {
  const came = Promise.withResolvers<boolean>();
  const events = ["readable", "end", "close", "error"];
  const tell = (): void => came.resolve(true);
  for (const event of events) stream.on(event, tell);
  gone.addEventListener("abort", tell);
  if (gone.aborted) tell();
  try {
    return await within(clock, SILENT_MS, came.promise, () => false);
  } finally {
    for (const event of events) stream.off(event, tell);
    gone.removeEventListener("abort", tell);
  }
}
