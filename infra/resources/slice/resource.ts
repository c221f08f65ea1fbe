import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface SliceArgs {
  /** Name in the inventory. */
  host: string;
  /** As `convocate-sessions.slice`. */
  slice: string;
  /** Share of the host's processors that all sessions together may use, 1 to 100. */
  cpuPercent: number;
  /** Share of the host's memory, 1 to 100. */
  memoryPercent: number;
}

/** A slice with CPUQuota and MemoryMax worked out from the host's own totals, which every refresh reads again. */
export class Slice extends ConvocateResource {
  constructor(name: string, args: SliceArgs, options?: pulumi.CustomResourceOptions) {
    super("Slice", name, args, options);
  }
}
