import type * as pulumi from "@pulumi/pulumi";
import { ConvocateResource } from "../resource.js";

export interface DockerDaemonArgs {
  /** Name in the inventory. */
  host: string;
}

/**
 * Docker's daemon with the systemd cgroup driver and live-restore, merged into /etc/docker/daemon.json; enabled and
 * running. It is restarted only when its cgroup driver has to change.
 */
export class DockerDaemon extends ConvocateResource {
  constructor(name: string, args: DockerDaemonArgs, options?: pulumi.CustomResourceOptions) {
    super("DockerDaemon", name, args, options);
  }
}
