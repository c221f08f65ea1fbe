import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface FirewallArgs {
  /** Name in the inventory. */
  host: string;
  /** Open to anybody: `222/tcp`, or `53` for both protocols. The ports of sshd are opened before all, declared or not. */
  allow: string[];
}

/** ufw, active, with these ports open. It never resets or removes a rule that it did not make. */
export class Firewall extends ConvocateResource {
  constructor(name: string, args: FirewallArgs, options?: pulumi.CustomResourceOptions) {
    super("Firewall", name, args, options);
  }
}
