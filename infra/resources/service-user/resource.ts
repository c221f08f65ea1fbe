import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface ServiceUserArgs {
  /** Name in the inventory. */
  host: string;
  /** Name of the user and of its group. */
  user: string;
  uid: number;
  gid: number;
  /** Its home, where the sessions' homes lie too; 0750. */
  home: string;
  /** Login shell; `/bin/bash` when left out. */
  shell?: string;
}

/** The user that sessions belong to, its group, home and `.skel`. An account of that name with other numbers is refused. */
export class ServiceUser extends ConvocateResource {
  constructor(name: string, args: ServiceUserArgs, options?: pulumi.CustomResourceOptions) {
    super("ServiceUser", name, args, options);
  }
}
