import type { SessionId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import type { Activity } from "../activity/activity.js";
import { endLeftovers, type HostProcesses } from "../attach/end-client.js";
import type { Clock } from "../clock.js";
import type { Containers } from "../containers/containers.js";
import type { ContainerState, DockerEngine } from "../containers/engine.js";
import type { AfterBoot } from "./after-boot.js";

const ASK_AGAIN_MS = 1_000;
/** Execs in running containers at a time. */
const AT_ONCE = 4;

export interface TakeOverOptions {
  docker: DockerEngine;
  containers: Containers;
  activity: Activity;
  afterBoot: AfterBoot;
  processes: HostProcesses;
  clock: Clock;
  log: Log;
}

/**
 * What an agent that has just started does about the sessions it finds, as soon as Docker answers: it brings back what a
 * boot of the host ended, learns what each running session told meanwhile, and ends the attaches that an agent which was
 * killed left in the containers (their tmux clients would shrink everybody's window). Never rejects.
 */
export async function takeOver(options: TakeOverOptions, signal: AbortSignal): Promise<void> {
  const { docker, activity, afterBoot, processes, clock, log } = options;
  const states = await whenDockerAnswers(options, signal);
  if (!states) return;
  const running = [...states].filter(([, state]) => state.running);
  let ended = 0;
  const look = async (): Promise<void> => {
    for (let next = running.shift(); next && !signal.aborted; next = running.shift()) {
      const [session, state] = next;
      try {
        await activity.catchUp(session);
        ended += await endLeftovers(docker, state, processes, clock);
      } catch (error) {
        log.warn({ session, error: String(error) }, "could not see what an earlier agent left in a session");
      }
    }
  };
  const resumed = afterBoot.resume(states).catch((error: unknown) => {
    log.error({ error: String(error) }, "sessions that ran before the boot could not be started");
  });
  await Promise.all([resumed, ...Array.from({ length: AT_ONCE }, look)]);
  if (ended > 0) log.info({ ended }, "ended attaches that an earlier agent left");
}

/** Null when the signal came first. */
async function whenDockerAnswers(
  { containers, clock, log }: TakeOverOptions,
  signal: AbortSignal,
): Promise<Map<SessionId, ContainerState> | null> {
  let complained = false;
  while (!signal.aborted) {
    try {
      return await containers.all();
    } catch (error) {
      if (!complained) log.warn({ error: String(error) }, "Docker does not answer yet; asking until it does");
      complained = true;
      await clock.sleep(ASK_AGAIN_MS, signal).catch(() => undefined);
    }
  }
  return null;
}
