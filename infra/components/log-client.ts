import { dirname } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import type { InventoryAgent } from "../inventory/index.js";
import type { CertificateAuthority } from "../resources/certificate-authority/resource.js";
import { Certificate } from "../resources/certificate/resource.js";
import { Files } from "../resources/files/resource.js";
import { Token } from "../resources/token/resource.js";
import type { Base } from "./base.js";
import { directory, file } from "./entries.js";
import type { ShellHost } from "./shell-host.js";
import {
  clientConfig,
  clientTls,
  journaldDropIn,
  restartRsyslog,
  rewindDropIn,
  tokenPath,
  tokenRule,
} from "./texts/rsyslog.js";

export interface LogClientArgs {
  agent: InventoryAgent;
  shell: ShellHost;
  base: Base;
  authority: CertificateAuthority;
}

/** The agent's end of log forwarding, and its token at the shell host. */
export function forwardLogs(
  { agent, shell, base, authority }: LogClientArgs,
  agentId: pulumi.Output<string>,
  parent: pulumi.Resource,
): void {
  const { name } = agent;
  const inside = { parent };
  const { token } = new Token(`${name}/log-token`, inside);
  const certificate = new Certificate(
    `${name}/log-certificate`,
    { authority, commonName: name, usage: "client" },
    inside,
  );
  const known = new Files(
    `${name}/log-agent`,
    {
      host: shell.args.shell.name,
      files: pulumi
        .all([agentId, token])
        .apply(([id, secret]) => ({ [tokenPath(id)]: file(tokenRule(id, secret), { mode: "0600" }) })),
      reload: restartRsyslog,
    },
    // The list of names that may come is the log server's.
    { ...inside, dependsOn: shell.logServer },
  );
  new Files(
    `${name}/log-client`,
    {
      host: name,
      files: {
        [clientTls.ca]: file(authority.certPem),
        [clientTls.cert]: file(certificate.certPem),
        [clientTls.key]: file(certificate.keyPem, { mode: "0600" }),
        [dirname(journaldDropIn.path)]: directory(),
        [journaldDropIn.path]: file(journaldDropIn.content),
        [rewindDropIn.path]: file(rewindDropIn.content),
        "/etc/rsyslog.d/10-convocate-client.conf": file(
          token.apply((secret) => clientConfig(shell.args.shell.clusterAddress, secret)),
          { mode: "0600" },
        ),
      },
      reload: [["systemctl", "daemon-reload"], ["systemctl", "restart", "systemd-journald.service"], ...restartRsyslog],
    },
    { ...inside, dependsOn: [known, base.packages, base.rsyslog] },
  );
}
