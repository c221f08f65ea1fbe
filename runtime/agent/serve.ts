import { join } from "node:path";
import {
  AGENT_PORT,
  RELEASE,
  SUBSYSTEM,
  agentPaths,
  logEvent,
  type AgentEvent,
  type SessionId,
} from "../domain/index.js";
import type { Log } from "../protocol/log.js";
import { serveRpc } from "../protocol/rpc/server.js";
import { dial } from "../protocol/ssh/client.js";
import { serveSsh } from "../protocol/ssh/server.js";
import { adoptAtStart } from "./adoption/at-start.js";
import { Activity } from "./activity/activity.js";
import { AttachCounts } from "./attach/counts.js";
import { AttachDoor } from "./attach/door.js";
import { hostProcesses, type HostProcesses } from "./attach/end-client.js";
import { InputStreams } from "./attach/streams.js";
import { captureScreen, detachAll } from "./attach/tmux.js";
import { Admission } from "./capacity/admission.js";
import { CapacityReport, hostTotal } from "./capacity/capacity.js";
import { HostCgroups, type Cgroups } from "./capacity/cgroups.js";
import { DiskUse } from "./capacity/disk-use.js";
import { AfterBoot } from "./boot/after-boot.js";
import { bootId } from "./boot/boot-id.js";
import { takeOver } from "./boot/take-over.js";
import { systemClock, timestamp, within, type Clock } from "./clock.js";
import { imageReader, readIdentity, readShellDoor, type AgentPaths } from "./config.js";
import { Containers } from "./containers/containers.js";
import { RealDocker } from "./containers/docker.js";
import type { DockerEngine } from "./containers/engine.js";
import { DockerPulse } from "./containers/pulse.js";
import { Deadlines } from "./deadlines.js";
import { DockerWatch } from "./events/docker-watch.js";
import { ImageWatch } from "./events/image-watch.js";
import { PeerWatch } from "./events/peers.js";
import { Publisher } from "./events/publisher.js";
import type { EventSink } from "./events/sink.js";
import { Spool, SPOOL_FILE } from "./events/spool.js";
import { rpcHandlers } from "./handlers.js";
import { Homes } from "./sessions/homes.js";
import { LockFiles } from "./sessions/lock-files.js";
import { LOCK_WAIT_MS, Locks } from "./sessions/locks.js";
import { MetadataStore } from "./sessions/metadata.js";
import { recover } from "./sessions/recover.js";
import { Sessions } from "./sessions/sessions.js";
import { HostJournal, type SessionJournal } from "./journal/journal.js";
import { LiveSettings } from "./settings.js";
import { TransferRecords } from "./transfer/records.js";
import { syncFileSystem } from "./trees/tar.js";
import { Transfers } from "./transfer/transfers.js";

/** How long the last events may take to reach the shell when the agent stops. */
const FAREWELL_MS = 1_000;
/** How long all that is under way may take to end when the agent stops; less than systemd's patience (TimeoutStopSec). */
const SETTLE_MS = 12_000;

export interface AgentOptions {
  log: Log;
  paths?: AgentPaths;
  /** tcp port; default 222, 0 for any free one. */
  port?: number;
  /** Address to listen on; all when left out. */
  address?: string;
  docker?: DockerEngine;
  processes?: HostProcesses;
  cgroups?: Cgroups;
  clock?: Clock;
  /** systemd's when left out. */
  journal?: SessionJournal;
}

export interface Agent extends AsyncDisposable {
  readonly port: number;
  /** Stops serving. Session containers go on. */
  close(): Promise<void>;
}

/** Starts the agent: everything in runtime/agent is put together here, and nowhere else. Throws IO_ERROR on bad files. */
export async function serveAgent(options: AgentOptions): Promise<Agent> {
  const {
    log,
    paths = agentPaths,
    docker = new RealDocker(),
    processes = hostProcesses,
    clock = systemClock,
    cgroups = new HostCgroups(),
  } = options;
  await using started = new AsyncDisposableStack();
  let stopsAt: number | null = null;
  /** For what waits for Docker: whatever hangs there, the agent ends in time, and what it leaves is as after a crash. */
  const inTime = async (end: Promise<unknown>): Promise<void> => {
    stopsAt ??= clock.monotonicMs() + SETTLE_MS;
    await within(clock, Math.max(0, stopsAt - clock.monotonicMs()), end, () => undefined);
  };
  const { agentId, settings } = await readIdentity(paths);
  const live = await LiveSettings.open(settings, paths.settingsChange, log);
  const upSince = clock.monotonicMs();
  const boot = bootId();
  const currentImage = imageReader(paths);

  const spool = started.use(new Spool({ path: join(paths.events, SPOOL_FILE), agentId, clock, log }));
  const journal = options.journal ?? started.use(new HostJournal({ log }));
  // Every event of a session is a line of its log, too (SPEC 9).
  spool.onAppend(({ type, sessionId, data }) => {
    if (sessionId !== null) journal.tell(sessionId, logEvent(type, data, clock.now()));
  });
  const events: EventSink = { emit: (type, sessionId, data) => spool.append(type, sessionId, data) };

  const store = await MetadataStore.open(paths.sessions, log);
  const homes = new Homes(settings.home, settings);
  const lockFiles = new LockFiles(paths.locks, log);
  const locks = new Locks(clock, LOCK_WAIT_MS, lockFiles);
  await recover({ store, homes, lockFiles, locks, events, clock, log });
  const records = await TransferRecords.open(paths.transfers, log);
  await adoptAtStart(settings, { store, locks, events, log, held: records.waiting() });
  // Last of all: an operation that is in flight ends before what it uses is closed, and leaves no lock.
  started.defer(() => inTime(locks.settled(SETTLE_MS)));
  const activity = started.use(new Activity({ folder: paths.running, owner: settings, docker, events, clock, log }));
  await activity.reopen((id) => store.get(id) !== undefined);
  const diskUse = started.use(new DiskUse({ homes: () => store.all().map(({ id }) => homes.path(id)), clock, log }));
  const admission = new Admission({
    docker,
    settings: () => live.effective(),
    total: () => hostTotal(settings.home),
    sessions: () => store.all(),
    diskUse: (id) => diskUse.of(id),
    clock,
  });
  const containers = new Containers({
    docker,
    settings: () => live.current(),
    homes,
    currentImage,
    admission,
    cgroups,
    openHooks: (id) => activity.open(id),
  });
  const capacity = new CapacityReport({
    containers,
    cgroups,
    admission,
    diskUse: () => diskUse.total(),
    settings: live,
    clock,
  });
  await capacity.begin();
  diskUse.start();
  const forget = (id: SessionId): Promise<void> => activity.close(id);
  const pulse = new DockerPulse(docker, clock);
  const counts = new AttachCounts();
  const sessions = new Sessions({
    agentId,
    store,
    homes,
    containers,
    locks,
    events,
    clock,
    attached: (id) => counts.of(id),
    detachAll: (id) => detachAll(docker, settings, id),
    boot,
    activity: (id, startedAt) => activity.of(id, startedAt),
    forget,
    journal,
    pulse,
    reservedPorts: settings.reserved_ports,
    refuseNew: () => live.refuseNew(),
  });
  const afterBoot = new AfterBoot({
    boot,
    store,
    state: (id) => containers.state(id),
    start: (id) => sessions.startAfterBoot(id),
    clock,
    log,
  });
  started.defer(() => inTime(afterBoot[Symbol.asyncDispose]()));

  events.emit("agent.started", null, { name: settings.name, release: RELEASE, image: currentImage() });
  const onEnd = (id: SessionId): void => afterBoot.ended(id);
  const watch = new DockerWatch({ docker, containers, spool, clock, log, onEnd });
  const imageWatch = new ImageWatch({ docker, spool, clock, log });
  watch.start();
  imageWatch.start();
  started.defer(() => inTime(Promise.all([watch[Symbol.asyncDispose](), imageWatch[Symbol.asyncDispose]()])));
  const over = new AbortController();
  const takenOver = takeOver({ docker, containers, activity, afterBoot, processes, clock, log }, over.signal);
  started.defer(async () => {
    over.abort();
    await inTime(takenOver);
  });

  const peers = started.use(new PeerWatch(events, clock));

  const door = new AttachDoor({
    docker,
    settings,
    locks,
    counts,
    streams: new InputStreams(clock),
    processes,
    clock,
    log,
    find: (id) => sessions.find(id),
    touch: (id) => sessions.touch(id),
  });
  const attaches = new Set<Promise<void>>();
  const transfers = new Transfers({
    store,
    records,
    sessions,
    homes,
    containers,
    locks,
    events,
    owner: settings,
    refuseNew: () => live.refuseNew(),
    admit: async (session) => (await containers.admit(session))[Symbol.dispose](),
    sync: syncFileSystem,
    forget,
    clock,
    log,
  });
  started.defer(() => inTime(transfers[Symbol.asyncDispose]()));
  await transfers.start();
  const handlers = rpcHandlers({
    agentId,
    sessions,
    settings: live,
    capacity,
    transfers,
    deadlines: new Deadlines(pulse, clock),
    screen: (id, options) => captureScreen(docker, settings, id, options),
    currentImage,
    clock,
    upSince,
  });

  const heartbeat = (): AgentEvent => ({
    seq: spool.lastSeq,
    stream: spool.stream,
    type: "agent.heartbeat",
    agent_id: agentId,
    timestamp: timestamp(clock),
    data: {
      name: settings.name,
      release: RELEASE,
      image: currentImage(),
      uptime_s: (clock.monotonicMs() - upSince) / 1000,
      sessions: { total: store.all().length, running: watch.running, attached: counts.total },
    },
  });
  const publisher = started.use(
    new Publisher({
      spool,
      dial: async (signal) => dial({ ...(await readShellDoor(paths)), signal }),
      heartbeat,
      clock,
      log,
    }),
  );

  // After the server: its channels' clients are ended before anything they use is closed.
  started.defer(async () => {
    await Promise.allSettled(attaches);
  });
  const server = started.use(
    await serveSsh({
      port: options.port ?? AGENT_PORT,
      ...(options.address === undefined ? {} : { address: options.address }),
      hostKeyPath: paths.hostKey,
      authorizedKeysPath: paths.authorizedKeys,
      subsystems: {
        [SUBSYSTEM.rpc]: async (channel) => {
          await serveRpc(channel.stream, handlers, { log, streams: transfers.streams, signal: channel.signal });
          channel.exit(0);
        },
        [SUBSYSTEM.attach]: async (channel) => {
          const attach = door.serve(channel).finally(() => attaches.delete(attach));
          attaches.add(attach);
          await attach;
        },
      },
      log,
      onPeer: (_peer, state, silentMs) => {
        if (state === "connected") peers.connected();
        else peers.closed(silentMs);
      },
    }),
  );
  publisher.start();
  log.info({ agentId, release: RELEASE, port: server.port, sessions: store.all().length }, "agent serves");

  const running = started.move();
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> =>
    (closing ??= (async () => {
      events.emit("agent.shutdown", null, { release: RELEASE });
      await publisher.drain(FAREWELL_MS);
      await running.disposeAsync();
    })());
  return { port: server.port, close, [Symbol.asyncDispose]: close };
}
