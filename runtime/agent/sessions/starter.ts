import { timestamp, type Clock } from "../clock.js";
import type { Admitted, Containers } from "../containers/containers.js";
import type { ContainerState } from "../containers/engine.js";
import type { SessionId } from "../../domain/index.js";
import { allOf } from "./all-of.js";
import type { Metadata, MetadataStore } from "./metadata.js";
import type { StepProbe } from "./steps.js";

export interface StarterParts {
  store: MetadataStore;
  containers: Containers;
  clock: Clock;
  step: StepProbe;
  /** This boot of the host (boot/boot-id.ts). */
  boot?: string;
}

/** Starts sessions, for whoever holds their lock. */
export class Starter {
  readonly #with: StarterParts;

  constructor(parts: StarterParts) {
    this.#with = parts;
  }

  /**
   * In a new container; answers as `checkSlice` does. `requestId` is of the restart that asked for it; `meanwhile` is what
   * may be done while Docker is at work.
   */
  async start(
    session: Metadata,
    admitted: Admitted,
    requestId: string | null,
    meanwhile: () => void = () => undefined,
  ): Promise<ContainerState | null> {
    const { store, containers, step, boot = null } = this.#with;
    const { port, protocol, runs_in_boot, published, restarted_by, restart_to_apply, started_before } = session;
    // What is true once it runs is noted before: an agent that dies in between must know the port that is held, and the request
    // that did it. One that finds it not running in this boot takes that for its end.
    const noted = {
      runs_in_boot: boot,
      restart_to_apply: false,
      published: port === 0 ? null : { port, protocol },
      ...(requestId === null ? {} : { restarted_by: requestId }),
    };
    const takeBack = async (): Promise<void> => {
      const before = { runs_in_boot: runs_in_boot ?? null, published, restarted_by, restart_to_apply, started_before };
      await store.update(session.id, before).catch(() => undefined);
    };
    try {
      await allOf([store.update(session.id, noted), containers.make(session, admitted)]);
      const running = containers.run(session.id);
      // Once the request is out, which takes the rest of this turn.
      setImmediate(meanwhile);
      await running;
    } catch (error) {
      await takeBack();
      throw error;
    }
    await step("started");
    const [landed, started] = await Promise.allSettled([containers.checkSlice(session.id), this.#started(session.id)]);
    if (landed.status === "rejected") {
      // It does not run any more.
      await takeBack();
      throw landed.reason;
    }
    if (started.status === "rejected") throw started.reason;
    return landed.value;
  }

  /** Finishes a start that a crash may have cut off: before the container ran, or after. */
  async startUnlessRunning(id: SessionId): Promise<void> {
    const { store, containers } = this.#with;
    const session = store.get(id);
    if (!session || session.started_before) return;
    if ((await containers.state(id))?.running) {
      await this.#started(id);
      return;
    }
    using admitted = await containers.admit(session);
    await this.start(session, admitted, null);
  }

  async #started(id: SessionId): Promise<void> {
    const { store, clock, boot = null } = this.#with;
    await store.update(id, {
      // Again: the end of the container before it may have been noted while this one was made.
      runs_in_boot: boot,
      started_before: true,
      last_accessed_at: timestamp(clock),
    });
  }
}
