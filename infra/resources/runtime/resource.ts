import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource, holding } from "../resource.js";
import type { Held } from "../shared.js";

export interface RuntimeArgs {
  /** Name in the inventory. */
  host: string;
  /** Of Node, as `24.21.0`. */
  version: string;
  /** Set, it stays at the version that it has. */
  held?: Held | undefined;
}

/** A Node of our own at /usr/local/lib/convocate/node/<version>/bin/node, for the host's processor, SHA-256 verified there. */
export class Runtime extends ConvocateResource {
  constructor(name: string, args: RuntimeArgs, options?: pulumi.CustomResourceOptions) {
    super("Runtime", name, args, holding(args.held, ["version"], options));
  }
}
