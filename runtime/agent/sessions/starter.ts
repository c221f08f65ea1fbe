import { timestamp, type Clock } from "../clock.js";
import type { Admitted, Containers } from "../containers/containers.js";
import type { SessionId } from "../../domain/index.js";
import type { Metadata, MetadataStore } from "./metadata.js";
import type { StepProbe } from "./steps.js";

/** Starts sessions, for whoever holds their lock. */
export class Starter {
  readonly #with: { store: MetadataStore; containers: Containers; clock: Clock; step: StepProbe };

  constructor(parts: { store: MetadataStore; containers: Containers; clock: Clock; step: StepProbe }) {
    this.#with = parts;
  }

  /** In a new container. `requestId` is of the restart that asked for it. */
  async start(session: Metadata, admitted: Admitted, requestId: string | null): Promise<void> {
    const { containers, step } = this.#with;
    await containers.start(session, admitted);
    await step("started");
    await this.#started(session, requestId);
  }

  /** Finishes a start that a crash may have cut off: before the container ran, or after. */
  async startUnlessRunning(id: SessionId): Promise<void> {
    const { store, containers } = this.#with;
    const session = store.get(id);
    if (!session || session.started_before) return;
    if ((await containers.state(id))?.running) {
      await this.#started(session, null);
      return;
    }
    using admitted = await containers.admit(session);
    await this.start(session, admitted, null);
  }

  async #started({ id, port, protocol }: Metadata, requestId: string | null): Promise<void> {
    const { store, clock } = this.#with;
    await store.update(id, {
      started_before: true,
      restart_to_apply: false,
      published: port === 0 ? null : { port, protocol },
      ...(requestId === null ? {} : { restarted_by: requestId }),
      last_accessed_at: timestamp(clock),
    });
  }
}
