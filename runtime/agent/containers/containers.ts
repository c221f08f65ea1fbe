import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { ConvocateError, SESSIONS_SLICE, SessionId, type AgentSettings } from "../../domain/index.js";
import type { Admission } from "../capacity/admission.js";
import type { Cgroups } from "../capacity/cgroups.js";
import { isMissing } from "../files.js";
import type { Homes } from "../sessions/homes.js";
import type { Metadata } from "../sessions/metadata.js";
import type { ContainerState, DockerEngine } from "./engine.js";
import { SESSION_NETWORK, SHARED, STOP_GRACE_SECONDS, containerName, containerSpec, type Shared } from "./spec.js";

/** Leave to start one session: its image, and what it pledges, reserved until this is disposed of. */
export interface Admitted extends Disposable {
  readonly image: string;
}

/** How many `docker inspect` at a time. */
const INSPECT_AT_ONCE = 8;

/** The sessions' containers: what SPEC 6.4 says, in terms of sessions. */
export class Containers {
  readonly #docker: DockerEngine;
  readonly #settings: () => AgentSettings;
  readonly #homes: Homes;
  readonly #currentImage: () => string | null;
  readonly #admission: Pick<Admission, "reserve">;
  readonly #cgroups: Pick<Cgroups, "inSlice">;
  readonly #openHooks: ((id: SessionId) => Promise<string>) | undefined;
  /** Details of containers, good until Docker tells of a change; empty while it cannot tell. */
  readonly #known = new Map<SessionId, ContainerState>();
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
    cgroups: Pick<Cgroups, "inSlice">;
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
  }

  /** Something happened to this session's container. */
  changed(id: SessionId): void {
    this.#changes += 1;
    this.#known.delete(id);
  }

  /**
   * Leave to start this session, to be disposed of after the start, whether it worked or not. Asked before anything is made
   * or stopped for it. Throws IMAGE_NOT_SET, IMAGE_MISSING, ADMISSION_DENIED, and REFUSED where the container would land
   * outside the slice.
   */
  async admit(session: Pick<Metadata, "id" | "limits">): Promise<Admitted> {
    const image = await this.#image();
    const reserved = await this.#admission.reserve(session);
    return { image, [Symbol.dispose]: () => reserved[Symbol.dispose]() };
  }

  async #image(): Promise<string> {
    const image = this.#currentImage();
    if (image === null) {
      throw new ConvocateError(
        "IMAGE_NOT_SET",
        "no session image is set on this agent: push one with `convocate-host init-agent`",
      );
    }
    const [driver, found] = await Promise.all([this.#docker.cgroupDriver(), this.#docker.hasImage(image)]);
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

  /** Makes a new container and starts it; an old one of the session is removed first. Throws REFUSED as `admit` does. */
  async start(session: Metadata, { image }: Admitted): Promise<void> {
    const name = containerName(session.id);
    const shared = await this.#sharedHere();
    await this.#homes.check(session.id);
    await this.#homes.makeMountPoints(
      session.id,
      shared.map((one) => ({ path: one.inside, directory: one.directory })),
    );
    await Promise.all([this.#docker.remove(name), this.#docker.ensureNetwork(SESSION_NETWORK)]);
    const home = this.#homes.path(session.id);
    const hooks = await this.#openHooks?.(session.id);
    await this.#docker.create(
      containerSpec({
        session,
        settings: this.#settings(),
        image,
        home,
        shared,
        ...(hooks === undefined ? {} : { hooks }),
      }),
    );
    try {
      await this.#docker.start(name);
      await this.#checkSlice(name);
    } finally {
      this.changed(session.id);
    }
  }

  /** The cgroup driver is what Docker says; this is what the kernel does. */
  async #checkSlice(name: string): Promise<void> {
    const state = await this.#docker.inspect(name);
    if (!state?.running || (await this.#cgroups.inSlice(state.pid)) !== false) return;
    await this.#docker.remove(name);
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

  /** Null when the session has no container. */
  async state(id: SessionId): Promise<ContainerState | null> {
    return this.#docker.inspect(containerName(id));
  }

  /** Every session's container as it is now: one list, and an inspect of those that changed. */
  async all(): Promise<Map<SessionId, ContainerState>> {
    const listed = await this.#docker.list();
    const states = new Map<SessionId, ContainerState>();
    const ask: SessionId[] = [];
    for (const one of listed) {
      const id = SessionId.safeParse(one.session);
      if (!id.success) continue;
      const known = this.#known.get(id.data);
      if (known?.id === one.id && known.running === one.running) states.set(id.data, known);
      else ask.push(id.data);
    }
    const worker = async (): Promise<void> => {
      for (let id = ask.pop(); id; id = ask.pop()) {
        const before = this.#changes;
        const state = await this.state(id);
        if (!state) continue;
        states.set(id, state);
        if (this.#watched && this.#changes === before) this.#known.set(id, state);
      }
    };
    await Promise.all(Array.from({ length: INSPECT_AT_ONCE }, worker));
    return states;
  }

  async #sharedHere(): Promise<Shared[]> {
    const found = await Promise.all(SHARED.map((one) => kind(join(this.#settings().home, one.host))));
    return SHARED.filter((one, at) => found[at] === (one.directory ? "directory" : "file"));
  }
}

async function kind(path: string): Promise<"directory" | "file" | "other" | null> {
  try {
    const found = await lstat(path);
    if (found.isDirectory()) return "directory";
    return found.isFile() ? "file" : "other";
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
