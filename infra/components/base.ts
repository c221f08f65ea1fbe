import { dirname } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import type { InventoryHost } from "../inventory/index.js";
import { directory, file } from "./entries.js";
import { Files } from "../resources/files/resource.js";
import { Firewall } from "../resources/firewall/resource.js";
import { Packages } from "../resources/packages/resource.js";
import type { Held } from "../resources/shared.js";
import { Runtime } from "../resources/runtime/resource.js";
import { ServiceUser } from "../resources/service-user/resource.js";
import { LOGIN_SHELL } from "./texts/login-shell.js";
import { TimeZone } from "../resources/time-zone/resource.js";
import { rsyslogDropIn } from "./texts/rsyslog.js";
import type { Common } from "./common.js";

const BASE_PACKAGES = [
  "ca-certificates",
  "cron",
  "curl",
  "git",
  "jq",
  "logrotate",
  "openssh-client",
  "rsyslog",
  "rsyslog-gnutls",
  "rsyslog-relp",
  "sudo",
  "tmux",
  "ufw",
  "zstd",
];
const ROLE_PACKAGES = {
  shell: ["dnsmasq"],
  // The client is in docker.io itself before Debian 13.
  agent: ["docker.io|docker-ce", "docker-cli|docker-ce-cli?", "nftables"],
} as const;

/** The packages of a machine, as PACKAGE_SPEC has them. */
export function packagesOf(roles: BaseArgs["roles"]): string[] {
  return [...BASE_PACKAGES, ...roles.flatMap((role) => ROLE_PACKAGES[role])].sort();
}

export interface BaseArgs {
  machine: InventoryHost;
  roles: readonly ("shell" | "agent")[];
  /** Beside sshd's: as `222/tcp`. */
  openPorts: readonly string[];
  common: Common;
  /** The runtime stays as it is. */
  held?: Held | undefined;
}

/** What a machine has once, whichever roles it plays: packages, the service user, our Node, the firewall. */
export class Base extends pulumi.ComponentResource {
  readonly packages: Packages;
  readonly user: ServiceUser;
  readonly runtime: Runtime;
  readonly firewall: Firewall;
  readonly rsyslog: Files;

  constructor(args: BaseArgs, parent: pulumi.Resource) {
    const { machine, common } = args;
    const { name } = machine;
    const host = name;
    super("convocate:index:Base", `${name}/base`, {}, { parent });
    const packages = packagesOf(args.roles);
    this.packages = new Packages(`${name}/packages`, { host, packages }, { parent: this });
    const shell = args.roles.includes("shell") ? { shell: LOGIN_SHELL } : {};
    this.user = new ServiceUser(`${name}/user`, { host, ...common.service, ...shell }, { parent: this });
    this.runtime = new Runtime(
      `${name}/runtime`,
      { host, version: common.nodeVersion, held: args.held },
      // zstd comes with the packages, and a third of the bytes with zstd.
      { parent: this, dependsOn: this.packages },
    );
    this.firewall = new Firewall(
      `${name}/firewall`,
      { host, allow: [...new Set([`${machine.sshPort}/tcp`, ...args.openPorts])].sort() },
      { parent: this, dependsOn: this.packages },
    );
    this.rsyslog = new Files(
      `${name}/rsyslog`,
      {
        host,
        // The folder too, so that it goes with the last of what is in it.
        files: { [dirname(rsyslogDropIn.path)]: directory(), [rsyslogDropIn.path]: file(rsyslogDropIn.content) },
        reload: [["systemctl", "daemon-reload"]],
      },
      { parent: this },
    );
    if (machine.timeZone !== undefined)
      new TimeZone(`${name}/time-zone`, { host, zone: machine.timeZone }, { parent: this });
    this.registerOutputs();
  }
}
