import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface AgentReadyArgs {
  /** The shell host, which asks. */
  shell: string;
  /** The service user there. */
  user: string;
  agentId: pulumi.Input<string>;
  /** For people. */
  agentName: string;
  /** What the agent must answer. */
  release: string;
  /** What the agent's service was restarted for: another one is waited for anew. */
  restartedFor: string;
  /** Default 60. */
  waitSeconds?: number;
}

/** An agent that answers the shell host with its release, and whose heartbeat the shell host has. */
export class AgentReady extends ConvocateResource {
  constructor(name: string, args: AgentReadyArgs, options?: pulumi.CustomResourceOptions) {
    super("AgentReady", name, args, options);
  }
}
