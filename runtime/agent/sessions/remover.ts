import type { AgentId, SessionId } from "../../domain/index.js";
import type { Containers } from "../containers/containers.js";
import type { EventSink } from "../events/sink.js";
import type { Homes } from "./homes.js";
import type { Locks } from "./locks.js";
import type { Metadata, MetadataStore } from "./metadata.js";
import { hereOnly, notFound } from "./not-here.js";
import type { StepProbe } from "./steps.js";

export interface RemoverParts {
  store: MetadataStore;
  homes: Homes;
  containers: Containers;
  locks: Locks;
  events: EventSink;
  step: StepProbe;
  /** A session's container is gone for good, and nothing that was made for it is needed any more. */
  forget?: (id: SessionId) => Promise<void>;
}

/**
 * Deletes sessions: container, home set aside, metadata, what was the home. Until the metadata is gone, all but the container
 * can be taken back; from then on the session is no more, and what is left of it is removed at the next start at the latest.
 */
export class Remover {
  readonly #with: RemoverParts;

  constructor(parts: RemoverParts) {
    this.#with = parts;
  }

  async delete(id: SessionId, signal?: AbortSignal): Promise<void> {
    const { store, homes, containers, locks, events, step } = this.#with;
    const known = store.get(id);
    if (!known && !(await homes.isSetAside(id))) throw notFound(id);
    if (known) hereOnly(known);
    const work = async (): Promise<void> => {
      await step("locked");
      const session = store.get(id);
      if (!session) {
        await this.#rest(id);
        return;
      }
      hereOnly(session);
      // Docker is asked before anything is done, so that one that hangs costs nothing: the signal tells. One container that
      // it cannot tell of is removed by force all the same, and a Docker that refuses everything refuses that, too.
      const container = await containers.state(id).catch(() => null);
      signal?.throwIfAborted();
      if (container?.running) await containers.stop(id);
      await step("stopped");
      await containers.remove(id);
      await this.#with.forget?.(id);
      await step("container removed");
      await homes.setAside(id);
      try {
        await step("home set aside");
        await store.remove(id);
      } catch (error) {
        await homes.bringBack(id);
        throw error;
      }
      await step("metadata removed");
      tellDeleted(events, session);
      await step("told");
      await homes.remove(id);
      await step("home removed");
    };
    await locks.run(id, "delete", work, known ? { name: known.name, dns_name: known.dns_name } : {});
  }

  /** The session is gone; what is left of its home is removed now. */
  async #rest(id: SessionId): Promise<void> {
    const { homes } = this.#with;
    if (!(await homes.isSetAside(id))) throw notFound(id);
    await homes.remove(id);
  }
}

export function tellDeleted(
  events: EventSink,
  { id, name, dns_name }: Pick<Metadata, "id" | "name" | "dns_name">,
  why: { moved_to?: AgentId } = {},
): void {
  events.emit("container.deleted", id, { name, dns_name, ...why });
}
