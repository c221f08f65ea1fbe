import type * as pulumi from "@pulumi/pulumi";
import type { Image } from "../image/resource.js";
import { ConvocateResource } from "../resource.js";

export interface ImagePushArgs {
  /** Name in the inventory. */
  host: string;
  /** As the image's. */
  tag: string;
  image: Image;
}

/** An image of this machine on an agent, sent only when the agent lacks it, and named in current-image after it is verified. */
export class ImagePush extends ConvocateResource {
  constructor(name: string, args: ImagePushArgs, options?: pulumi.CustomResourceOptions) {
    const { host, tag, image } = args;
    super("ImagePush", name, { host, tag, imageId: image.imageId, layers: image.layers }, options);
  }
}
