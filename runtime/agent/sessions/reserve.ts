import { ConvocateError, type SessionId } from "../../domain/index.js";
import type { Metadata, MetadataStore } from "./metadata.js";
import { choosePort, refuseReserved, type PortUse } from "./ports.js";

export interface Wish {
  /** 0 none, -1 the first free one. */
  port: number;
  protocol: "tcp" | "udp";
  dns_name: string | null;
}

/** Who has which port and DNS name on this agent: those of its sessions, and those promised to what is not on disk yet. */
export class Reservations {
  readonly #store: MetadataStore;
  readonly #reserved: readonly number[];
  readonly #promised = new Map<SessionId, Metadata>();

  /** `reserved`: ports of the host's own. */
  constructor(store: MetadataStore, reserved: readonly number[]) {
    this.#store = store;
    this.#reserved = reserved;
  }

  /** Throws PORT_TAKEN for a port of the host's own. To be asked of a port that is new here, before it is claimed. */
  refuseReserved(port: number): void {
    refuseReserved(port, this.#reserved);
  }

  /**
   * Checks port and DNS name and promises them in one step: nothing waits in here. `make` gets the port that was chosen.
   * What it gives is promised until `release`. Throws PORT_TAKEN, DNS_NAME_TAKEN.
   */
  claim(id: SessionId, wish: Wish, make: (port: number) => Metadata): Metadata {
    const made = make(this.choose(id, wish));
    this.#promised.set(id, made);
    return made;
  }

  /** The port that `claim` would give now; throws as it does, and promises nothing. */
  choose(id: SessionId, wish: Wish): number {
    const others = [...this.#store.all(), ...this.#promised.values()].filter((one) => one.id !== id);
    const port = choosePort(wish.port, wish.protocol, others.flatMap(uses), this.#reserved);
    const holder = wish.dns_name === null ? undefined : others.find((one) => one.dns_name === wish.dns_name);
    if (holder) {
      throw new ConvocateError(
        "DNS_NAME_TAKEN",
        `the DNS name ${wish.dns_name ?? ""} belongs to session ${holder.name} (${holder.id}): choose another`,
      );
    }
    return port;
  }

  release(id: SessionId): void {
    this.#promised.delete(id);
  }
}

/** An edited session's container holds the former port until its next restart. */
function uses({ id, name, port, protocol, published }: Metadata): PortUse[] {
  const now = { id, name, port, protocol };
  return published ? [now, { id, name, ...published }] : [now];
}
