import * as pulumi from "@pulumi/pulumi";
import { Image } from "../resources/image/resource.js";

export interface SessionImageArgs {
  /** `<semver>` of the tag. */
  version: string;
  /** Base image; made from Debian packages when left out. */
  base: string | undefined;
  /** Hash of what it is built from. */
  source: string;
}

/** The image of all sessions: built here once, pushed by each agent's resources. */
export class SessionImage extends pulumi.ComponentResource {
  readonly tag: string;
  readonly image: Image;

  constructor(args: SessionImageArgs, parent: pulumi.Resource) {
    super("convocate:index:SessionImage", "session-image", {}, { parent });
    this.tag = `convocate:${args.version}`;
    this.image = new Image(
      "session-image/build",
      { tag: this.tag, base: args.base ?? "", source: args.source },
      { parent: this },
    );
    this.registerOutputs();
  }
}
