import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface LineArgs {
  /** Name in the inventory. */
  host: string;
  /** The file; other resources may have lines in it. */
  path: string;
  /** The last word of the line, by which it is found again. */
  key: pulumi.Input<string>;
  /** The whole line, `key` its last word. */
  line: pulumi.Input<string>;
  /** Of the file, octal. */
  mode: string;
  /** Default root. */
  owner?: string;
  /** Default root. */
  group?: string;
}

/** One line of a file that many resources share, as an agent's in authorized_keys. */
export class Line extends ConvocateResource {
  constructor(name: string, args: LineArgs, options?: pulumi.CustomResourceOptions) {
    super("Line", name, args, options);
  }
}
