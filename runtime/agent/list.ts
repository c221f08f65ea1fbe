import { ConvocateError, agentPaths, toConvocateError, type Session } from "../domain/index.js";
import type { Log } from "../protocol/log.js";
import { isAttach } from "./attach/tmux.js";
import { HostCgroups } from "./capacity/cgroups.js";
import { systemClock } from "./clock.js";
import { imageReader, readIdentity, type AgentPaths } from "./config.js";
import { Containers, type Found } from "./containers/containers.js";
import { RealDocker } from "./containers/docker.js";
import type { ContainerState, DockerEngine } from "./containers/engine.js";
import { Homes } from "./sessions/homes.js";
import { LockFiles } from "./sessions/lock-files.js";
import { LOCK_WAIT_MS, Locks } from "./sessions/locks.js";
import { MetadataStore } from "./sessions/metadata.js";
import { sessionView, type ContainerKnowledge } from "./sessions/view.js";

/**
 * This host's sessions, read from its files and its Docker, so that it works without a running agent. Operations in flight
 * or interrupted are known by their locks.
 */
export async function listLocal(options: { log: Log; paths?: AgentPaths; docker?: DockerEngine }): Promise<Session[]> {
  const { log, paths = agentPaths, docker = new RealDocker() } = options;
  const { agentId, settings } = await readIdentity(paths);
  const store = await MetadataStore.open(paths.sessions, log);
  const homes = new Homes(settings.home, settings);
  const containers = new Containers({
    docker,
    settings: () => settings,
    homes,
    currentImage: imageReader(paths),
    admission: startsNothing,
    cgroups: new HostCgroups(),
  });
  const lockFiles = new LockFiles(paths.locks, log);
  const locks = new Locks(systemClock, LOCK_WAIT_MS, lockFiles);
  for (const record of await lockFiles.read()) locks.leave(record);
  let found: Found = { states: new Map(), untold: new Map() };
  let problem: string | null = null;
  try {
    found = await containers.all();
  } catch (error) {
    problem = toConvocateError(error).message;
  }
  return Promise.all(
    store.all().map(async (metadata) => {
      const container = found.states.get(metadata.id) ?? null;
      const why = problem ?? found.untold.get(metadata.id)?.message;
      const known: ContainerKnowledge = why === undefined ? { container } : { error: why };
      return sessionView(agentId, metadata, known, locks.holder(metadata.id), await attaches(docker, container));
    }),
  );
}

const startsNothing = {
  reserve: async (): Promise<never> => {
    throw new ConvocateError(
      "REFUSED",
      "only the running agent starts sessions: see `systemctl status convocate-agent`",
    );
  },
};

async function attaches(docker: DockerEngine, container: ContainerState | null): Promise<number> {
  if (!container?.running) return 0;
  const execs = await Promise.all(container.execIds.map((id) => docker.execState(id).catch(() => null)));
  return execs.filter((exec) => exec?.running && isAttach(exec.argv)).length;
}
