import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface TimeZoneArgs {
  /** Name in the inventory. */
  host: string;
  /** As `Europe/Berlin`. */
  zone: string;
}

/** A host's time zone. It stays as it is when convocate goes. */
export class TimeZone extends ConvocateResource {
  constructor(name: string, args: TimeZoneArgs, options?: pulumi.CustomResourceOptions) {
    super("TimeZone", name, args, options);
  }
}
