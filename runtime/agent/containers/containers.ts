import { readFile } from "node:fs/promises";
import { ConvocateError, SESSIONS_SLICE, SESSION_BRIDGE, SessionId, type AgentSettings } from "../../domain/index.js";
import type { Admission } from "../capacity/admission.js";
import type { Cgroups } from "../capacity/cgroups.js";
import { isMissing } from "../../protocol/files.js";
import type { Homes } from "../sessions/homes.js";
import type { Metadata } from "../sessions/metadata.js";
import { refuseReserved } from "../sessions/ports.js";
import { askEach, noAnswer } from "./ask-each.js";
import type { ContainerSpec, ContainerState, DockerEngine } from "./engine.js";
import { nameServers, sharedMounts } from "./mounts.js";
import { SESSION_NETWORK, STOP_GRACE_SECONDS, containerName, containerSpec, type Mount } from "./spec.js";

/** Leave to start one session: its image, its network, and what it pledges, reserved until this is disposed of. */
export interface Admitted extends Disposable {
  readonly image: string;
  /** The host's address on the sessions' network, as its containers see it. */
  readonly gateway: string | null;
}

/** Every session's container, and why Docker could not tell of some. A session that is in neither has none. */
export interface Found {
  states: Map<SessionId, ContainerState>;
  untold: Map<SessionId, ConvocateError>;
}

/** The sessions' containers: what SPEC 6.4 says, in terms of sessions. */
export class Containers {
  readonly #docker: DockerEngine;
  readonly #settings: () => AgentSettings;
  readonly #homes: Homes;
  readonly #currentImage: () => string | null;
  readonly #admission: Pick<Admission, "reserve">;
  readonly #cgroups: Pick<Cgroups, "inSlice" | "oomKills">;
  readonly #openHooks: ((id: SessionId) => Promise<string>) | undefined;
  /** Details of containers, good until Docker tells of a change; empty while it cannot tell. */
  readonly #known = new Map<SessionId, ContainerState>();
  /** Sessions that an earlier `all` still asks for: asking once more beside that would only wait again. */
  readonly #late = new Set<SessionId>();
  /** Containers that Docker told are out of memory. */
  readonly #outOfMemory = new Set<string>();
  /** Docker reads it when it starts, so it stays while the event stream does. */
  #driver: string | null = null;
  #watched = false;
  /** Raised by every change, so that an answer which was under way meanwhile is not kept. */
  #changes = 0;

  constructor(options: {
    docker: DockerEngine;
    /** As they are now: asked at each start. */
    settings: () => AgentSettings;
    homes: Homes;
    currentImage: () => string | null;
    admission: Pick<Admission, "reserve">;
    cgroups: Pick<Cgroups, "inSlice" | "oomKills">;
    /** Makes what a session's hooks report to; answers with the folder that its container gets. */
    openHooks?: (id: SessionId) => Promise<string>;
  }) {
    this.#docker = options.docker;
    this.#settings = options.settings;
    this.#homes = options.homes;
    this.#currentImage = options.currentImage;
    this.#admission = options.admission;
    this.#cgroups = options.cgroups;
    this.#openHooks = options.openHooks;
  }

  /** Whether the event stream is open, so that what is known stays true until it says otherwise. */
  watched(now: boolean): void {
    this.#watched = now;
    this.#changes += 1;
    this.#known.clear();
    this.#driver = null;
  }

  /** Something happened to this session's container. */
  changed(id: SessionId): void {
    this.#changes += 1;
    this.#known.delete(id);
  }

  /**
   * Leave to start this session, to be disposed of after the start, whether it worked or not. Asked before anything is made
   * or stopped for it. Throws IMAGE_NOT_SET, IMAGE_MISSING, ADMISSION_DENIED, PORT_TAKEN where its port is the host's own by
   * now, and REFUSED where the container would land outside the slice or on a network that is not ours.
   */
  async admit(session: Pick<Metadata, "id" | "limits" | "port">): Promise<Admitted> {
    refuseReserved(session.port, this.#settings().reserved_ports);
    // Side by side, since each waits for Docker; of several reasons to refuse, the first here is told.
    const [image, network, reserved] = await Promise.allSettled([
      this.#image(),
      this.#docker.ensureNetwork(SESSION_NETWORK, SESSION_BRIDGE),
      this.#admission.reserve(session),
    ]);
    if (image.status === "fulfilled" && network.status === "fulfilled" && reserved.status === "fulfilled") {
      const { value } = reserved;
      return { image: image.value, gateway: network.value.gateway, [Symbol.dispose]: () => value[Symbol.dispose]() };
    }
    if (reserved.status === "fulfilled") reserved.value[Symbol.dispose]();
    throw [image, network, reserved].find((one) => one.status === "rejected")?.reason;
  }

  /** Docker's. */
  async cgroupDriver(): Promise<string> {
    const before = this.#changes;
    const driver = this.#driver ?? (await this.#docker.cgroupDriver());
    if (this.#watched && this.#changes === before) this.#driver = driver;
    return driver;
  }

  async #image(): Promise<string> {
    const image = this.#currentImage();
    if (image === null) {
      throw new ConvocateError(
        "IMAGE_NOT_SET",
        "no session image is set on this agent: push one with `convocate-host init-agent`",
      );
    }
    const [driver, found] = await Promise.all([this.cgroupDriver(), this.#docker.hasImage(image)]);
    if (driver !== "systemd") {
      throw new ConvocateError(
        "REFUSED",
        `Docker on this agent uses the cgroup driver ${driver}, so a session would escape convocate-sessions.slice: ` +
          `run \`convocate-host init-agent\`, or set "exec-opts": ["native.cgroupdriver=systemd"] in ` +
          `/etc/docker/daemon.json and restart docker`,
      );
    }
    if (!found) {
      throw new ConvocateError(
        "IMAGE_MISSING",
        `the session image ${image} is not on this agent: push it again with \`convocate-host init-agent\``,
      );
    }
    return image;
  }

  /** Makes a new container, which `run` starts, in the place of an old one of the session. */
  async make(session: Metadata, { image, gateway }: Admitted): Promise<void> {
    const settings = this.#settings();
    const home = this.#homes.path(session.id);
    await this.#homes.check(session.id);
    const [shared, hooks, servers, ipv6] = await Promise.all([
      this.#mounts(session.id, settings),
      this.#openHooks?.(session.id),
      nameServers(settings.session.dns, gateway),
      hasIpv6(),
    ]);
    const spec = containerSpec({
      session,
      settings,
      image,
      home,
      shared,
      nameServers: servers,
      ipv6,
      ...(hooks === undefined ? {} : { hooks }),
    });
    try {
      await this.#create(spec, image);
    } finally {
      this.changed(session.id);
    }
  }

  /** Starts what `make` made. */
  async run(id: SessionId): Promise<void> {
    try {
      await this.#docker.start(containerName(id));
    } finally {
      this.changed(id);
    }
  }

  /** What the host's user shares with this session, and places for it in its home. */
  async #mounts(id: SessionId, settings: AgentSettings): Promise<Mount[]> {
    const { mounts, points } = await sharedMounts(settings.home, settings);
    await this.#homes.makeMountPoints(id, points);
    return mounts;
  }

  /** Since leave was given, an update may have named another image, and the daily job taken this one: then it is that. */
  async #create(spec: ContainerSpec, image: string): Promise<void> {
    try {
      await this.#replace(spec);
    } catch (error) {
      const current = this.#currentImage();
      if (current === null || current === image || (await this.#docker.hasImage(image))) throw error;
      await this.#replace({ ...spec, Image: current });
    }
  }

  /** A new session has no container, so whether there is one is not asked before it is in the way. */
  async #replace(spec: ContainerSpec): Promise<void> {
    if ((await this.#docker.create(spec)) !== null) return;
    await this.#docker.remove(spec.name);
    if ((await this.#docker.create(spec)) === null)
      throw new ConvocateError(
        "DOCKER_ERROR",
        `somebody else makes ${spec.name} just now: see who, and start it again`,
      );
  }

  /**
   * Looks where a container that was started landed: the cgroup driver is what Docker says, this is what the kernel does. One
   * outside the slice is removed. Answers with what was seen, null when it is gone already. Throws REFUSED for one outside.
   */
  async checkSlice(id: SessionId): Promise<ContainerState | null> {
    const name = containerName(id);
    const state = await this.#docker.inspect(name);
    if (!state?.running || (await this.#cgroups.inSlice(state.pid)) !== false) return state;
    await this.remove(id);
    throw new ConvocateError(
      "REFUSED",
      `the container landed outside ${SESSIONS_SLICE}, so it was removed again: see \`systemd-cgls\` on this host, ` +
        `and run \`convocate-host init-agent\``,
    );
  }

  async stop(id: SessionId): Promise<void> {
    try {
      await this.#docker.stop(containerName(id), STOP_GRACE_SECONDS);
    } finally {
      this.changed(id);
    }
  }

  async remove(id: SessionId): Promise<void> {
    try {
      await this.#docker.remove(containerName(id));
    } finally {
      this.changed(id);
    }
  }

  /** Docker said that this container is out of memory. The kernel's count may come a moment later. */
  outOfMemory(containerId: string): void {
    this.#outOfMemory.add(containerId);
  }

  /** Null when the session has no container. */
  async state(id: SessionId): Promise<ContainerState | null> {
    const state = await this.#docker.inspect(containerName(id));
    return state && (await this.#withOomKills(state));
  }

  /** The same for whoever only looks: throws TIMEOUT as soon as a list would give up on it. */
  async look(id: SessionId): Promise<ContainerState | null> {
    const [answer = null] = (await askEach([id], (one) => this.state(one))).values();
    if (answer instanceof ConvocateError) throw answer;
    return answer;
  }

  /** Asked of the kernel each time: that is one small file, and Docker tells of the first kill only. */
  async #withOomKills(state: ContainerState): Promise<ContainerState> {
    if (!state.running) return state;
    const counted = await this.#cgroups.oomKills(state.id);
    return { ...state, oomKills: Math.max(counted, this.#outOfMemory.has(state.id) ? 1 : 0) };
  }

  /**
   * Every session's container as it is now: one list, and an inspect of those that changed. Rejects only when Docker does not
   * list; `patienceMs` is for the inspects, all together.
   */
  async all(patienceMs?: number): Promise<Found> {
    const listed = await this.#docker.list();
    const found: Found = { states: new Map(), untold: new Map() };
    const ask: SessionId[] = [];
    for (const one of listed) {
      const id = SessionId.safeParse(one.session);
      if (!id.success) continue;
      const known = this.#known.get(id.data);
      if (known?.id === one.id && known.running === one.running) found.states.set(id.data, known);
      else ask.push(id.data);
    }
    const asked = new Set<SessionId>();
    const look = async (id: SessionId): Promise<ContainerState | null> => {
      if (this.#late.has(id)) throw noAnswer();
      const before = this.#changes;
      asked.add(id);
      try {
        const state = await this.#docker.inspect(containerName(id));
        if (state && this.#watched && this.#changes === before) this.#known.set(id, state);
        return state;
      } finally {
        asked.delete(id);
        this.#late.delete(id);
      }
    };
    for (const [id, answer] of await askEach(ask, look, patienceMs)) {
      if (answer instanceof ConvocateError) found.untold.set(id, answer);
      else if (answer) found.states.set(id, answer);
    }
    for (const id of asked) this.#late.add(id);
    for (const [id, state] of found.states) found.states.set(id, await this.#withOomKills(state));
    for (const id of this.#outOfMemory) if (!listed.some((one) => one.id === id)) this.#outOfMemory.delete(id);
    return found;
  }
}

/** Whether this host has an IPv6 address; one that has none cannot listen on `::` (Linux, net/ipv6/addrconf.c). */
async function hasIpv6(): Promise<boolean> {
  try {
    return (await readFile("/proc/net/if_inet6", "utf8")).trim() !== "";
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
