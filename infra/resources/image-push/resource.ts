import type * as pulumi from "@pulumi/pulumi";
import type { Image } from "../image/resource.js";
import { ConvocateResource, holding } from "../resource.js";
import type { Held } from "../shared.js";

export interface ImagePushArgs {
  /** Name in the inventory. */
  host: string;
  /** As the image's. */
  tag: string;
  image: Image;
  /** Set, it stays the image that it is. */
  held?: Held | undefined;
}

/** An image of this machine on an agent, sent only when the agent lacks it, and named in current-image after it is verified. */
export class ImagePush extends ConvocateResource {
  constructor(name: string, args: ImagePushArgs, options?: pulumi.CustomResourceOptions) {
    const { host, tag, image, held } = args;
    const props = { host, tag, imageId: image.imageId, layers: image.layers, held };
    super("ImagePush", name, props, holding(held, ["tag", "imageId", "layers"], options));
  }
}
