import { ConvocateError, ERROR_CODES, toConvocateError } from "../../runtime/domain/index.js";
import type { Connection, ConnectionPool, HostAddress } from "../connection/index.js";
import { THIS_MACHINE, type Hosts } from "../resources/lifecycle.js";
import type { Plain } from "./values.js";

/** Where hosts were when a resource was last worked on, by name. */
export type Remembered = Readonly<Record<string, HostAddress>>;

/** The hosts of a stack by name, as its inventory says now; throws as the inventory's reader does. */
export type ReadHosts = (stack: string) => readonly HostAddress[];

/** Output that every resource with a host has: how it was reached, for the day the inventory no longer names the host. */
export const REACHED_AT = "reachedAt";

/**
 * Output of a resource whose host could not be asked at the last read, with why: the others must not wait for it, and the
 * step that would then be made of this one fails with it.
 */
export const UNASKED = "unasked";

/** A host that did not answer is not asked again for each of its resources. */
const SILENT_MS = 20_000;

/**
 * Finds hosts for lifecycles. The inventory is the truth, read once; what a resource remembers is for hosts that were taken
 * out of it, whose resources must still be taken away, and for an inventory that cannot be read, of which the program tells.
 */
export class HostBook {
  readonly #stacks = new Map<string, ReadonlyMap<string, HostAddress> | ConvocateError>();
  readonly #silent = new Map<string, { until: number; error: ConvocateError }>();
  readonly #gone: ReadonlySet<string>;

  /** `gone` are hosts that are not to be dialled any more: what is on them is forgotten, not taken away. */
  constructor(
    private readonly pool: ConnectionPool,
    private readonly readHosts: ReadHosts,
    gone: readonly string[] = [],
  ) {
    this.#gone = new Set(gone);
  }

  /** The hosts for one operation on one resource. */
  open(stack: string, remembered: Remembered): OpenHosts {
    const used: Record<string, HostAddress> = { ...remembered };
    return {
      connect: async (name, signal) => {
        if (name === THIS_MACHINE) return await this.pool.connect({ via: "local", name }, signal);
        if (this.#gone.has(name)) throw new HostGone(name);
        const address = this.#address(stack, name, remembered);
        used[name] = address;
        return await this.#dial(address, signal);
      },
      remembered: () => used,
    };
  }

  #address(stack: string, name: string, remembered: Remembered): HostAddress {
    const known = this.#hostsOf(stack);
    const address = (known instanceof ConvocateError ? undefined : known.get(name)) ?? remembered[name];
    if (address) return address;
    if (known instanceof ConvocateError) throw known;
    throw new ConvocateError(
      "BAD_INVENTORY",
      `${name} is not in the inventory of stack ${stack}, and nobody remembers where it was: put it back, then run ` +
        `convocate-host remove --host ${name}`,
    );
  }

  #hostsOf(stack: string): ReadonlyMap<string, HostAddress> | ConvocateError {
    let hosts = this.#stacks.get(stack);
    if (!hosts) {
      try {
        hosts = new Map(this.readHosts(stack).map((host) => [host.name, host]));
      } catch (thrown) {
        hosts = toConvocateError(thrown);
      }
      this.#stacks.set(stack, hosts);
    }
    return hosts;
  }

  async #dial(address: HostAddress, signal?: AbortSignal): Promise<Connection> {
    const silent = this.#silent.get(address.name);
    if (silent && silent.until > Date.now()) throw silent.error;
    try {
      return await this.pool.connect(address, signal);
    } catch (thrown) {
      if (thrown instanceof ConvocateError && ERROR_CODES[thrown.code] === ERROR_CODES.UNREACHABLE)
        this.#silent.set(address.name, { until: Date.now() + SILENT_MS, error: thrown });
      throw thrown;
    }
  }
}

export interface OpenHosts extends Hosts {
  /** Where they were now, of those that were asked for, and before, of the others. */
  remembered(): Remembered;
}

/** The operator said that the host is gone. */
export class HostGone extends ConvocateError {
  constructor(name: string) {
    super("UNREACHABLE", `${name} is said to be gone`);
  }
}

/**
 * Properties as this release has them: a host's name where another release wrote its whole address. Those addresses are
 * remembered, as is what was remembered before.
 */
export function namedHosts(plain: Plain): { plain: Plain; remembered: Remembered } {
  const { [REACHED_AT]: before, [UNASKED]: _why, ...rest } = plain;
  const remembered: Record<string, HostAddress> = { ...(before as Remembered | undefined) };
  const named = Object.entries(rest).map(([key, value]): [string, unknown] => {
    if (!isAddress(value)) return [key, value];
    remembered[value.name] = value;
    return [key, value.name];
  });
  return { plain: Object.fromEntries(named), remembered };
}

function isAddress(value: unknown): value is HostAddress {
  return (
    typeof value === "object" &&
    value !== null &&
    "name" in value &&
    typeof value.name === "string" &&
    "via" in value &&
    (value.via === "local" || value.via === "ssh")
  );
}
