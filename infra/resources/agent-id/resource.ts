import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface AgentIdArgs {
  /** Name in the inventory. */
  host: string;
}

/** /etc/convocate-agent/agent-id: 8 characters, written once; put back as it was when it is lost. */
export class AgentId extends ConvocateResource {
  declare readonly agentId: pulumi.Output<string>;

  constructor(name: string, args: AgentIdArgs, options?: pulumi.CustomResourceOptions) {
    super("AgentId", name, { ...args, agentId: undefined }, options);
  }
}
