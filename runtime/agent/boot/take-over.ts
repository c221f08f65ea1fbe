import type { SessionId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import type { Activity } from "../activity/activity.js";
import { endLeftovers, type HostProcesses } from "../attach/end-client.js";
import type { Clock } from "../clock.js";
import type { Containers, Found } from "../containers/containers.js";
import { QUICK_MS } from "../containers/docker-errors.js";
import type { DockerEngine } from "../containers/engine.js";
import type { AfterBoot } from "./after-boot.js";

const ASK_AGAIN_MS = 1_000;
/** Until containers that Docker could not tell of are asked for again. */
const ASK_LATER_MS = 30_000;
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
 * killed left in the containers (their tmux clients would shrink everybody's window). One that Docker cannot tell of holds up
 * no other: it is looked at later. Never rejects.
 */
export async function takeOver(options: TakeOverOptions, signal: AbortSignal): Promise<void> {
  const { clock, log } = options;
  let of: (id: SessionId) => boolean = () => true;
  let complained = false;
  for (;;) {
    const found = await whenDockerAnswers(options, signal);
    if (!found) return;
    const { states, untold } = found;
    const asked = of;
    await seeTo(options, states, (id) => asked(id) && !untold.has(id), signal);
    const left = new Set([...untold.keys()].filter(asked));
    if (left.size === 0) return;
    if (!complained)
      log.warn({ sessions: [...left] }, "Docker cannot tell of these sessions; asking again until it can");
    complained = true;
    of = (id) => left.has(id);
    await clock.sleep(ASK_LATER_MS, signal).catch(() => undefined);
  }
}

async function seeTo(
  { docker, activity, afterBoot, processes, clock, log }: TakeOverOptions,
  states: Found["states"],
  of: (id: SessionId) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const running = [...states]
    .filter(([id, state]) => of(id) && state.running)
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
  const resumed = afterBoot.resume(states, of).catch((error: unknown) => {
    log.error({ error: String(error) }, "sessions that ran before the boot could not be started");
  });
  await Promise.all([resumed, ...Array.from({ length: AT_ONCE }, look)]);
  if (ended > 0) log.info({ ended }, "ended attaches that an earlier agent left");
}

/** Null when the signal came first. */
async function whenDockerAnswers(
  { containers, clock, log }: TakeOverOptions,
  signal: AbortSignal,
): Promise<Found | null> {
  let complained = false;
  while (!signal.aborted) {
    try {
      // A host that has just booted is slow: more patience than a list has.
      return await containers.all(QUICK_MS);
    } catch (error) {
      if (!complained) log.warn({ error: String(error) }, "Docker does not answer yet; asking until it does");
      complained = true;
      await clock.sleep(ASK_AGAIN_MS, signal).catch(() => undefined);
    }
  }
  return null;
}
