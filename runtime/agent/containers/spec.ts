import { SESSIONS_SLICE, type AgentSettings, type SessionId } from "../../domain/index.js";
import type { Metadata } from "../sessions/metadata.js";
import { SESSION_LABEL, type ContainerSpec } from "./engine.js";

export const SESSION_NETWORK = "convocate";
/** On the host and in the container of a session with `docker: true`. */
const DOCKER_SOCKET = "/var/run/docker.sock";
/** The home, inside every container. */
export const CONTAINER_HOME = "/home/claude";
/** Where a session's programs find the socket that only they have (image/bin/convocate-tell). */
const CONTAINER_HOOKS = "/run/convocate";
/** SIGTERM to SIGKILL (SPEC 6.3). */
export const STOP_GRACE_SECONDS = 10;

/** Where the CLI keeps its login when that is the host's; beside its home's `.claude`, which is the session's own. */
export const CONTAINER_LOGIN = `${CONTAINER_HOME}/.claude-login`;

/** Something of the host that a session sees. */
export interface Mount {
  source: string;
  /** Absolute, in the container. */
  target: string;
  readOnly: boolean;
}

const NAME_PREFIX = "convocate-session-";

export function containerName(id: SessionId): string {
  return `${NAME_PREFIX}${id}`;
}

/** For Docker's list: all names that `containerName` gives, and others like them. */
export const NAMES_OF_SESSIONS = `^/?${NAME_PREFIX}`;

/** Docker's API has a slash before each name. */
export const plainName = (name: string): string => name.replace(/^\//, "");

/**
 * The session in a container's name as Docker says it; empty when it is nobody's. The name it is, and no label: an earlier
 * release gave its containers none.
 */
export function sessionOfName(name: string): string {
  const plain = plainName(name);
  return plain.startsWith(NAME_PREFIX) ? plain.slice(NAME_PREFIX.length) : "";
}

export interface SpecInput {
  session: Metadata;
  settings: AgentSettings;
  /** What `current-image` names now. */
  image: string;
  /** The session's home on the host. */
  home: string;
  /** What the host shares with it. */
  shared: readonly Mount[];
  /** Whom it asks for names; empty leaves that to Docker. */
  nameServers: readonly string[];
  /** Whether this host has IPv6, and a public port can be published on its addresses, too. */
  ipv6: boolean;
  /** The folder with the socket of its hooks. */
  hooks?: string;
}

/** The container of SPEC 6.4. Pure: the same input, the same container. */
export function containerSpec({
  session,
  settings,
  image,
  home,
  shared,
  nameServers,
  ipv6,
  hooks,
}: SpecInput): ContainerSpec {
  const memoryBytes = session.limits.memory_bytes ?? settings.session.limits.memory_bytes;
  const published = session.port === 0 ? null : `${session.port}/${session.protocol}`;
  return {
    name: containerName(session.id),
    Hostname: `convocate-${session.id.slice(0, 8)}`,
    Image: image,
    WorkingDir: CONTAINER_HOME,
    Env: environment(session, settings, shared),
    Labels: { [SESSION_LABEL]: session.id },
    StopTimeout: STOP_GRACE_SECONDS,
    ...(published ? { ExposedPorts: { [published]: {} } } : {}),
    HostConfig: {
      Init: true,
      AutoRemove: false,
      Privileged: false,
      RestartPolicy: { Name: "no" },
      CgroupParent: SESSIONS_SLICE,
      Memory: memoryBytes,
      // The same figure for both: no extra swap.
      MemorySwap: memoryBytes,
      PidsLimit: session.limits.pids ?? settings.session.limits.pids,
      ...(session.limits.cpus === undefined ? {} : { NanoCpus: Math.round(session.limits.cpus * 1e9) }),
      ...privileges(settings.session.sudo),
      NetworkMode: SESSION_NETWORK,
      ...(nameServers.length === 0 ? {} : { Dns: [...nameServers] }),
      ...(published ? { PortBindings: { [published]: bindings(session, ipv6) } } : {}),
      // `docker logs` reads it back, and the journal's lines say whose they are.
      LogConfig: { Type: "journald", Config: { tag: session.id, labels: SESSION_LABEL } },
      Mounts: [
        { Type: "bind", Source: home, Target: CONTAINER_HOME },
        ...shared.map(({ source, target, readOnly }) => ({
          Type: "bind" as const,
          Source: source,
          Target: target,
          ...(readOnly ? { ReadOnly: true } : {}),
        })),
        ...(session.docker ? [{ Type: "bind" as const, Source: DOCKER_SOCKET, Target: DOCKER_SOCKET }] : []),
        // Read-only: a socket can be connected to all the same, and nothing can be put into the host's /run.
        ...(hooks === undefined
          ? []
          : [{ Type: "bind" as const, Source: hooks, Target: CONTAINER_HOOKS, ReadOnly: true }]),
      ],
    },
  };
}

/** On loopback, so that only this host reaches it; a public one on every address that it has. */
function bindings({ port, public: isPublic }: Metadata, ipv6: boolean): { HostIp: string; HostPort: string }[] {
  const addresses = isPublic ? ["0.0.0.0", ...(ipv6 ? ["::"] : [])] : ["127.0.0.1"];
  return addresses.map((HostIp) => ({ HostIp, HostPort: String(port) }));
}

/**
 * With sudo: Docker's default capabilities less three that no session needs. Without: every capability is dropped and
 * setuid programs gain nothing. The image's entrypoint begins as root all the same, to make the user with the host's uid
 * and to become it; for that it keeps SETUID and SETGID. No process of the session has them: the entrypoint changes its uid
 * before it starts any, and capabilities do not survive that.
 */
function privileges(sudo: boolean): { CapDrop: string[]; CapAdd?: string[]; SecurityOpt?: string[] } {
  if (sudo) return { CapDrop: ["NET_RAW", "MKNOD", "AUDIT_WRITE"] };
  return { CapDrop: ["ALL"], CapAdd: ["SETUID", "SETGID"], SecurityOpt: ["no-new-privileges"] };
}

function environment(session: Metadata, settings: AgentSettings, shared: readonly Mount[]): string[] {
  const login = shared.some(({ target }) => target === CONTAINER_LOGIN);
  const ours: Record<string, string> = {
    CONVOCATE_UID: String(settings.uid),
    CONVOCATE_GID: String(settings.gid),
    CONVOCATE_USER: settings.user,
    CONVOCATE_SESSION_ID: session.id,
    CONVOCATE_SESSION_NAME: session.name,
    CONVOCATE_SUDO: settings.session.sudo ? "1" : "0",
    ...(session.started_before ? { CONVOCATE_RESUME: "1" } : {}),
    ...(login ? { CLAUDE_SECURESTORAGE_CONFIG_DIR: CONTAINER_LOGIN } : {}),
  };
  return Object.entries({ ...settings.session.env, ...ours }).map(([key, value]) => `${key}=${value}`);
}
