import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface UnitArgs {
  /** Name in the inventory. */
  host: string;
  /** As `convocate-agent.service`. */
  unit: string;
  /** Of /etc/systemd/system/<unit>. */
  content: string;
  /** By name, what the service reads at its start; one restart when any of it changes. */
  triggers?: Record<string, pulumi.Input<string>>;
}

/** A systemd service: file, enabled, running. However much changes in one update, it is restarted once. */
export class Unit extends ConvocateResource {
  constructor(name: string, args: UnitArgs, options?: pulumi.CustomResourceOptions) {
    super("Unit", name, args, options);
  }
}
