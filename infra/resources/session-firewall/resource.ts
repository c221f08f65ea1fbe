import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface SessionFirewallArgs {
  /** Name of the host in the inventory. */
  host: string;
  /** Private ranges that sessions may reach all the same: `192.168.1.0/24`, `192.168.1.20:5432/tcp`. */
  egress: string[];
  /** Name servers of the cluster; this host's own are added. */
  nameServers: string[];
  /** Whether this host is the cluster's name server. */
  dnsHere: boolean;
  /** Ports of our own servers on this host: no session reaches them, whatever `egress` says. */
  doors: number[];
  /** The same of the cluster's other hosts, as `10.0.0.2:222`. */
  otherDoors: string[];
}

/**
 * What sessions may reach: the internet and what `egress` names; not each other, this host, or a private network. An nft
 * table of its own beside those of Docker and ufw, which it neither reads nor changes.
 */
export class SessionFirewall extends ConvocateResource {
  constructor(name: string, args: SessionFirewallArgs, options?: pulumi.CustomResourceOptions) {
    super("SessionFirewall", name, args, options);
  }
}
