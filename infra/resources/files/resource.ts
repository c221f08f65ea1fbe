import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

interface OwnershipArgs {
  /** Octal, as `0644`. */
  mode: string;
  /** Default root. */
  owner?: string;
  /** Default root. */
  group?: string;
}

/**
 * `file`: its content, mode and owner are watched. `seed`: content that is written when nothing is there, and somebody
 * else's to change after. `directory`: removed with the resource only when it is empty then.
 */
export type FileArgs =
  ({ type: "file" | "seed"; content: pulumi.Input<string> } & OwnershipArgs) | ({ type: "directory" } & OwnershipArgs);

export interface FilesArgs {
  /** Name in the inventory. */
  host: string;
  /** By absolute path. Content may be secret; the outputs hold hashes only. */
  files: pulumi.Input<Record<string, FileArgs>>;
  /** Commands to run after anything was written, word by word: what makes a service take notice. */
  reload?: string[][];
  /**
   * Commands to run beside `reload` when what was declared has not changed but the host had: for a service that a Unit's
   * `triggers` restart when the declaration changes.
   */
  afterRepair?: string[][];
}

/** A set of files and directories on a host that belong together: one look and one write for all of them. */
export class Files extends ConvocateResource {
  constructor(name: string, args: FilesArgs, options?: pulumi.CustomResourceOptions) {
    super("Files", name, args, options);
  }
}
