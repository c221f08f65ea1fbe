import type * as pulumi from "@pulumi/pulumi";
import type { CertificateAuthority } from "../certificate-authority/resource.js";
import { ConvocateResource } from "../resource.js";

export interface CertificateArgs {
  authority: CertificateAuthority;
  /** The peer's name: CN and only SAN. */
  commonName: string;
  usage: "server" | "client";
}

/** A certificate for one name and one use: RSA-3072, one year, made anew when 60 days are left or the authority changed. */
export class Certificate extends ConvocateResource {
  declare readonly certPem: pulumi.Output<string>;
  /** Secret. */
  declare readonly keyPem: pulumi.Output<string>;

  constructor(name: string, args: CertificateArgs, options?: pulumi.CustomResourceOptions) {
    const authority = { certPem: args.authority.certPem, keyPem: args.authority.keyPem };
    super("Certificate", name, { ...args, authority, certPem: undefined, keyPem: undefined }, options);
  }
}
