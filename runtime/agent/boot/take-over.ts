import type { SessionId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import type { Activity } from "../activity/activity.js";
import { endLeftovers, type HostProcesses } from "../attach/end-client.js";
import type { Clock } from "../clock.js";
import type { Containers } from "../containers/containers.js";
import type { ContainerState, DockerEngine } from "../containers/engine.js";
import type { AfterBoot } from "./after-boot.js";

const ASK_AGAIN_MS = 1_000;
/** A host that has just booted has much to do; what cannot be seen is asked for again after the others. */
const TRIES = 3;
/** Execs in running containers at a time. */
const AT_ONCE = 4;

export interface TakeOverOptions {
  docker: DockerEngine;
  containers: Pick<Containers, "all">;
  activity: Pick<Activity, "catchUp">;
  afterBoot: Pick<AfterBoot, "resume">;
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
  const running = [...states]
    .filter(([, state]) => state.running)
    .map(([session, state]) => ({ session, state, tries: 0 }));
  let ended = 0;
  const look = async (): Promise<void> => {
    for (let next = running.shift(); next && !signal.aborted; next = running.shift()) {
      const { session, state, tries } = next;
      try {
        await activity.catchUp(session);
        ended += await endLeftovers(docker, state, processes, clock);
      } catch (error) {
        if (tries + 1 < TRIES) running.push({ session, state, tries: tries + 1 });
        else log.warn({ session, error: String(error) }, "could not see what an earlier agent left in a session");
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
