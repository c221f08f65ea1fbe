import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface CertificateAuthorityArgs {
  /** What its certificate calls itself. */
  commonName: string;
  /** Another number makes another authority; default 1. */
  generation?: number;
  /** One from elsewhere; its key must be a secret. */
  given?: { certPem: pulumi.Input<string>; keyPem: pulumi.Input<string> };
}

/** A certificate authority of RSA-3072 for ten years, made anew with all it signed when 60 days are left; or a given one. */
export class CertificateAuthority extends ConvocateResource {
  declare readonly certPem: pulumi.Output<string>;
  /** Secret. */
  declare readonly keyPem: pulumi.Output<string>;

  constructor(name: string, args: CertificateAuthorityArgs, options?: pulumi.CustomResourceOptions) {
    super("CertificateAuthority", name, { ...args, certPem: undefined, keyPem: undefined }, options);
  }
}
