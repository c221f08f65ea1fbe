import { readFile } from "node:fs/promises";
import type { Clock } from "../clock.js";
import type { DockerEngine, ExecState } from "../containers/engine.js";
import { codeOf } from "../../protocol/files.js";
import { isAttach } from "./tmux.js";

/** Processes of the host, as far as an attach needs them. */
export interface HostProcesses {
  /** Whether a live process is in this container: by its cgroup, which no process in a container can change. */
  isIn(pid: number, containerId: string): Promise<boolean>;
  signal(pid: number, signal: "SIGTERM" | "SIGKILL"): void;
}

export const hostProcesses: HostProcesses = {
  async isIn(pid, containerId) {
    const cgroups = await readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => "");
    return cgroups.includes(containerId);
  },
  signal(pid, signal) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (codeOf(error) !== "ESRCH") throw error;
    }
  },
};

const POLL_MS = 25;
/** An exec that was asked for has its process within this time, or never. */
const APPEAR_MS = 1_000;
/** tmux's client leaves at once on SIGTERM; one that does not is killed. */
const TERM_MS = 400;

/**
 * Ends the process of an attach whose client is gone: Docker would leave it, and with it a tmux client that shrinks
 * everybody's window (runc#3359). `state` asks Docker for the exec; `lastPid` is for when Docker does not know any more.
 */
export async function endClient(options: {
  state: () => Promise<ExecState | null>;
  lastPid: number;
  containerId: string;
  processes: HostProcesses;
  clock: Clock;
}): Promise<void> {
  const { state, containerId, processes, clock } = options;
  const pidNow = async (): Promise<number | null> => {
    const now = await state().catch(() => null);
    if (now) return now.running ? now.pid : null;
    return options.lastPid === 0 ? null : options.lastPid;
  };
  let pid = await pidNow();
  for (let waited = 0; pid === 0 && waited < APPEAR_MS; waited += POLL_MS) {
    await clock.sleep(POLL_MS);
    pid = await pidNow();
  }
  if (pid === null || pid === 0 || !(await processes.isIn(pid, containerId))) return;
  processes.signal(pid, "SIGTERM");
  for (let waited = 0; waited < TERM_MS; waited += POLL_MS) {
    await clock.sleep(POLL_MS);
    if (!(await processes.isIn(pid, containerId))) return;
  }
  processes.signal(pid, "SIGKILL");
}

/** Ends the attach processes that an agent which was killed left in a container. Answers with how many. */
export async function endLeftovers(
  docker: DockerEngine,
  container: { id: string; execIds: string[] },
  processes: HostProcesses,
  clock: Clock,
): Promise<number> {
  let ended = 0;
  for (const execId of container.execIds) {
    const found = await docker.execState(execId);
    if (!found?.running || !isAttach(found.argv)) continue;
    ended += 1;
    await endClient({ state: () => docker.execState(execId), lastPid: 0, containerId: container.id, processes, clock });
  }
  return ended;
}
