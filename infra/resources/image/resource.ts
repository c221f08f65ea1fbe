import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface ImageArgs {
  /** As `convocate:3.0.0`. */
  tag: string;
  /** A Debian or Ubuntu image to build on; empty for one made from Debian packages. */
  base: string;
  /** Hash of what it is built from: another one builds it anew. */
  source: string;
}

/** The image that sessions run in, built by script/image with the Docker engine of this machine. */
export class Image extends ConvocateResource {
  /** `sha256:…` */
  declare readonly imageId: pulumi.Output<string>;
  declare readonly layers: pulumi.Output<string[]>;

  constructor(name: string, args: ImageArgs, options?: pulumi.CustomResourceOptions) {
    super("Image", name, { ...args, imageId: undefined, layers: undefined }, options);
  }
}
