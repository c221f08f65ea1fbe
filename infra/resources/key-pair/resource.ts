import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface KeyPairArgs {
  /** Name in the inventory. */
  host: string;
  /** Of the private key; the public one is beside it, with `.pub`. Its directory must be there. */
  path: pulumi.Input<string>;
  /** One word, at the end of the public key's line. */
  comment: pulumi.Input<string>;
  /** Of the private key, octal; default 0600. */
  mode?: string;
  /** Default root. */
  owner?: string;
  /** Default root. */
  group?: string;
}

/** An ed25519 SSH key pair made on its host. The private half never leaves it and is in no state. */
export class KeyPair extends ConvocateResource {
  /** `ssh-ed25519 AAAA…`, without a comment. */
  declare readonly publicKey: pulumi.Output<string>;

  constructor(name: string, args: KeyPairArgs, options?: pulumi.CustomResourceOptions) {
    super("KeyPair", name, { ...args, publicKey: undefined }, options);
  }
}
