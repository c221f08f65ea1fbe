import type { z } from "zod";
import type { Connection } from "../connection/types.js";
import type { Answers } from "./answers.js";

/** One property that differs, named as the operator should read it: `files["/etc/x"].mode`. */
export interface Difference {
  path: string;
  kind: "add" | "change" | "remove";
  /** True when the resource must be made anew instead of updated. */
  replace?: boolean;
}

/** The machine that provisions, which no inventory can name so: it has a space. */
export const THIS_MACHINE = "this machine";

/**
 * Hosts by their names. Where a host is and what pins it stand in the inventory and in no resource: a host that moved or
 * has a new key is the same host, and differs in nothing.
 */
export interface Hosts {
  connect(name: string, signal?: AbortSignal): Promise<Connection>;
}

export interface LifecycleContext {
  pool: Hosts;
  signal: AbortSignal;
  /** The same for all resources of a run. */
  answers: Answers;
  /**
   * The operator wants the host as it was: a delete also puts back settings of the host's own that a create changed, as far
   * as the state remembers them.
   */
  purge?: boolean;
  /** A line of progress, shown by the engine beside the resource; never a secret. */
  progress: (message: string) => void;
}

/**
 * How a kind of resource is made true. Pure functions of inputs and state, but for the four that take a context; those may
 * be cut off at any point and run again. `State` is what Pulumi remembers (outputs): it holds what was seen on the host, so
 * that `diff` between it and the inputs tells drift as well as change.
 */
export interface Lifecycle<Inputs extends object = object, State extends object = object> {
  /** Type token's last part: `Files` for `convocate:index:Files`. */
  readonly kind: string;
  /** Checks inputs; problems are reported by property before anything happens. Unknown values never reach it. */
  readonly inputs: z.ZodType<Inputs>;
  /** Outputs that are encrypted in the state. */
  readonly secretOutputs: readonly string[];
  /** Outputs whose value an update may change, so that dependents are planned too: unknown during preview when diff says so. */
  readonly volatileOutputs?: readonly string[];
  diff(state: State, inputs: Inputs): Difference[];
  /** Makes it so on a host where it may or may not be already: adopting what is right is the normal case after a crash. */
  create(inputs: Inputs, context: LifecycleContext): Promise<{ id: string; state: State }>;
  /** What is there now; null when nothing of it is. Never changes anything. */
  read(state: State, inputs: Inputs, context: LifecycleContext): Promise<State | null>;
  update(state: State, inputs: Inputs, context: LifecycleContext): Promise<State>;
  delete(state: State, context: LifecycleContext): Promise<void>;
}
