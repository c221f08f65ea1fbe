import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface PackagesArgs {
  /** Name in the inventory, of a host with Debian 12+ or Ubuntu 22.04+, else UNSUPPORTED_HOST. */
  host: string;
  /** Names of Debian packages; `docker.io|docker-ce` takes either and installs the first, `docker-cli?` what the archives have. */
  packages: string[];
}

/** Packages that a host must have; installed without recommendations and without questions, never removed. */
export class Packages extends ConvocateResource {
  constructor(name: string, args: PackagesArgs, options?: pulumi.CustomResourceOptions) {
    super("Packages", name, args, options);
  }
}
