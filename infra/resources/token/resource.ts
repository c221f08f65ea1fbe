import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

/** A random secret of 64 hexadecimal digits, kept encrypted in the state. */
export class Token extends ConvocateResource {
  declare readonly token: pulumi.Output<string>;

  constructor(name: string, options?: pulumi.CustomResourceOptions) {
    super("Token", name, { token: undefined }, options);
  }
}
