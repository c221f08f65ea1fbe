import type { Duplex } from "node:stream";
import type Docker from "dockerode";

/** Every session's container that convocate makes has it, with the session's id. Those of an earlier release have none. */
export const SESSION_LABEL = "convocate.session";

/** The repository of the images that sessions run (SPEC 8.3). */
export const SESSION_IMAGE = "convocate";

export type ContainerSpec = Docker.ContainerCreateOptions & { name: string };

/** A container as `docker inspect` knows it. Times are ISO 8601, null before the first start or end. */
export interface ContainerState {
  id: string;
  image: string;
  running: boolean;
  /** Of its first process, in the host's pid namespace; 0 when it does not run. */
  pid: number;
  startedAt: string | null;
  finishedAt: string | null;
  exitCode: number;
  oomKilled: boolean;
  /** How often the kernel killed in it for want of memory, since it was started; the engine does not know, Containers does. */
  oomKills?: number;
  execIds: string[];
  /** An earlier release made it. */
  former?: boolean;
}

/** What a running container may use, by `docker inspect`; null where nothing limits it. */
export interface RunningContainer {
  name: string;
  /** As it was given: `convocate-sessions.slice`, or empty. Null where Docker cannot tell of this container, nor its limits. */
  cgroupParent: string | null;
  /** Cores. */
  cpus: number | null;
  memoryBytes: number | null;
}

export interface ContainerListing {
  id: string;
  /** The id in its name. */
  session: string;
  /** The tag it was made from. */
  image: string;
  running: boolean;
}

export interface ContainerEvent {
  /** `start`, `die`, `kill`, `oom`, `destroy`, … */
  action: string;
  containerId: string;
  session: string;
  image: string;
  atMs: number;
  /** On `die`. */
  exitCode: number | null;
  /** On `kill`. */
  signal: string | null;
}

/** A tag of `convocate` and the image that it names. */
export interface ImageTag {
  /** `convocate:<version>`. */
  image: string;
  /** `sha256:…`. */
  id: string;
}

/** Something happened to images. Docker names a tag that was given, and none that was taken. */
export interface ImageEvent {
  given: ImageTag | null;
  atMs: number;
}

export interface ExecRequest {
  argv: string[];
  /** `uid:gid`. */
  user: string;
  env: Record<string, string>;
}

export interface ExecState {
  running: boolean;
  /** In the host's pid namespace; 0 before it runs. */
  pid: number;
  exitCode: number | null;
  argv: string[];
}

/** A process on a TTY inside a container, with its raw bytes both ways. */
export interface TtyExec {
  readonly stream: Duplex;
  resize(size: { cols: number; rows: number }): Promise<void>;
  /** Null when Docker does not know it any more. */
  state(): Promise<ExecState | null>;
}

/**
 * What the agent wants of Docker. Every call has a deadline of its own and rejects with a ConvocateError: DOCKER_ERROR, or
 * TIMEOUT, or one that a method names.
 */
export interface DockerEngine {
  /** Resolves when Docker answers; TIMEOUT after so long. */
  ping(timeoutMs: number): Promise<void>;
  /** `systemd` or `cgroupfs`. */
  cgroupDriver(): Promise<string>;
  hasImage(reference: string): Promise<boolean>;
  /** Every tag of `convocate`. */
  sessionImages(): Promise<ImageTag[]>;
  /**
   * A network without traffic between its containers, on a bridge of that name on the host; made when missing. Answers with
   * the host's IPv4 address on it. REFUSED when there is another network of that name which is in use.
   */
  ensureNetwork(name: string, bridge: string): Promise<{ gateway: string | null }>;
  /** Answers with the container's id; null when there is one of that name. */
  create(spec: ContainerSpec): Promise<string | null>;
  start(name: string): Promise<void>;
  /** SIGTERM, then SIGKILL after the grace. Nothing happens to a stopped or missing one. */
  stop(name: string, graceSeconds: number): Promise<void>;
  /** Removes it, stopped or not; nothing happens when it is missing. */
  remove(name: string): Promise<void>;
  /** Null when there is none of that name. */
  inspect(name: string): Promise<ContainerState | null>;
  /** All containers with a session's name, running or not. */
  list(): Promise<ContainerListing[]>;
  /** Every running container of this Docker, whoever started it; one that Docker cannot tell of keeps back no other. */
  running(): Promise<RunningContainer[]>;
  /** What happens to containers with a session's name from now on; `onOpen` is called once Docker listens. Ends by throwing. */
  events(signal: AbortSignal, onOpen: () => void): AsyncIterable<ContainerEvent>;
  /** What happens to images from now on; `onOpen` and the end as with `events`. */
  imageEvents(signal: AbortSignal, onOpen: () => void): AsyncIterable<ImageEvent>;
  /**
   * Runs to the end; SESSION_NOT_RUNNING when the container does not run. Keeps the first 64 KiB of what it says. TIMEOUT when
   * it did not end by then; `timeout` of the container's own coreutils then kills it, within two seconds.
   */
  run(name: string, request: ExecRequest, timeoutMs: number): Promise<{ exitCode: number; output: string }>;
  /** Starts a process on a TTY; SESSION_NOT_RUNNING when the container does not run. */
  openTty(name: string, request: ExecRequest): Promise<TtyExec>;
  execState(execId: string): Promise<ExecState | null>;
}
