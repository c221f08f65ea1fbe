import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource, holding } from "../resource.js";
import type { Held } from "../shared.js";

export interface ProgramArgs {
  /** Name in the inventory. */
  host: string;
  program: "convocate" | "convocate-agent";
  /** Names the folder under /usr/local/lib/convocate/releases. */
  release: string;
  /** Of the Node that runs it; a Runtime of that version must be on the host. */
  nodeVersion: string;
  /** Names in dist/programs with the SHA-256 of each. */
  files: Record<string, string>;
  /** Set, it stays at the release that it has. */
  held?: Held | undefined;
}

/** A program of ours at one release, with its wrapper in /usr/local/bin. The last three releases stay on the host. */
export class Program extends ConvocateResource {
  constructor(name: string, args: ProgramArgs, options?: pulumi.CustomResourceOptions) {
    super("Program", name, args, holding(args.held, ["release", "nodeVersion", "files"], options));
  }
}
