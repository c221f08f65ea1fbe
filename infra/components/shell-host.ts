import * as pulumi from "@pulumi/pulumi";
import { shellPaths, SHELL_PORT } from "../../runtime/domain/index.js";
import type { InventoryAgent, InventoryShell } from "../inventory/index.js";
import type { CertificateAuthority } from "../resources/certificate-authority/resource.js";
import { Certificate } from "../resources/certificate/resource.js";
import { Files } from "../resources/files/resource.js";
import { KeyPair } from "../resources/key-pair/resource.js";
import { Program } from "../resources/program/resource.js";
import { Unit } from "../resources/unit/resource.js";
import type { Base } from "./base.js";
import { hostAndPort, type Common } from "./common.js";
import { directory, file, seed } from "./entries.js";
import { dnsmasqConfig } from "./texts/dnsmasq.js";
import { LOGIN_SHELL, loginShell, sshdConfig } from "./texts/login-shell.js";
import {
  LOG_SERVER_NAME,
  logrotateConfig,
  restartRsyslog,
  serverConfig,
  serverTls,
  tokenFolder,
} from "./texts/rsyslog.js";
import { statusUnit } from "./texts/units.js";

export interface ShellHostArgs {
  shell: InventoryShell;
  agents: readonly InventoryAgent[];
  base: Base;
  authority: CertificateAuthority;
  common: Common;
}

/** The host of the TUI, convocate-status, the logs and the names (SPEC 2, 4). Knows agents by name only. */
export class ShellHost extends pulumi.ComponentResource {
  readonly folders: Files;
  /** Host key of tcp/223. */
  readonly statusHostKey: KeyPair;
  readonly logServer: Files;
  readonly unit: Unit;
  /** What agents write in shell-host. */
  readonly statusAddress: string;

  constructor(
    readonly args: ShellHostArgs,
    parent: pulumi.Resource,
  ) {
    const { shell, base, common } = args;
    const { name } = shell;
    const host = name;
    super("convocate:index:ShellHost", name, {}, { parent });
    const inside = { parent: this };
    const group = common.service.user;
    this.statusAddress = hostAndPort(shell.clusterAddress, shell.statusPort, SHELL_PORT);

    this.folders = new Files(
      `${name}/folders`,
      {
        host,
        files: {
          // The service user reads the keys it dials with, so it must get through the folder above them.
          [shellPaths.etc]: directory({ mode: "0750", group }),
          [shellPaths.clusterName]: file(`${pulumi.getStack()}\n`),
          [shellPaths.agentKeys]: directory({ mode: "0750", group }),
          [serverTls.folder]: directory({ mode: "0750" }),
          [tokenFolder]: directory({ mode: "0750" }),
          // dnsmasq reads its hosts file here after it has given up root.
          [shellPaths.state]: directory(),
          [shellPaths.dnsmasqHosts]: seed(),
          [shellPaths.logs]: directory({ mode: "0750", group }),
          [shellPaths.authorizedKeys]: seed(),
        },
      },
      { ...inside, dependsOn: base.user },
    );
    this.statusHostKey = new KeyPair(
      `${name}/status-host-key`,
      { host, path: shellPaths.hostKey, comment: `convocate-status@${name}` },
      { ...inside, dependsOn: [this.folders, base.packages] },
    );
    const program = new Program(
      `${name}/convocate`,
      {
        host,
        program: "convocate",
        release: common.release,
        nodeVersion: common.nodeVersion,
        files: common.programs.convocate,
      },
      { ...inside, dependsOn: base.runtime },
    );
    this.logServer = this.#logServer();
    new Files(
      `${name}/login-shell`,
      { host: name, files: { [LOGIN_SHELL]: file(loginShell, { mode: "0755" }) } },
      { ...inside, dependsOn: program },
    );
    new Files(
      `${name}/sshd`,
      {
        host: name,
        files: { "/etc/ssh/sshd_config.d/10-convocate.conf": file(sshdConfig(common.service.user)) },
        reload: [["systemctl", "try-reload-or-restart", "ssh.service"]],
      },
      { ...inside, dependsOn: base.packages },
    );
    new Files(
      `${name}/dnsmasq`,
      {
        host,
        files: {
          "/etc/dnsmasq.d/10-convocate.conf": file(
            dnsmasqConfig(
              shell.clusterAddress,
              args.agents.some((agent) => agent.onShellHost),
            ),
          ),
        },
        reload: [["systemctl", "restart", "dnsmasq.service"]],
      },
      { ...inside, dependsOn: [this.folders, base.packages] },
    );
    this.unit = new Unit(
      `${name}/convocate-status.service`,
      {
        host,
        unit: "convocate-status.service",
        content: statusUnit(shell.statusPort),
        triggers: {
          release: common.release,
          program: JSON.stringify(common.programs.convocate),
          node: common.nodeVersion,
          hostKey: this.statusHostKey.publicKey,
        },
      },
      { ...inside, dependsOn: [program, this.statusHostKey, base.user, base.packages] },
    );
    this.registerOutputs();
  }

  #logServer(): Files {
    const { shell, agents, base, authority, common } = this.args;
    const certificate = new Certificate(
      `${shell.name}/log-certificate`,
      { authority, commonName: LOG_SERVER_NAME, usage: "server" },
      { parent: this },
    );
    const config = serverConfig(
      agents.map((agent) => agent.name),
      common.service.user,
    );
    new Files(
      `${shell.name}/logrotate`,
      { host: shell.name, files: { "/etc/logrotate.d/convocate-agent-logs": file(logrotateConfig) } },
      { parent: this, dependsOn: base.packages },
    );
    return new Files(
      `${shell.name}/log-server`,
      {
        host: shell.name,
        files: {
          [serverTls.ca]: file(authority.certPem),
          [serverTls.cert]: file(certificate.certPem),
          [serverTls.key]: file(certificate.keyPem, { mode: "0600" }),
          "/etc/rsyslog.d/10-convocate-server.conf": file(config),
        },
        reload: restartRsyslog,
      },
      { parent: this, dependsOn: [this.folders, base.packages, base.rsyslog] },
    );
  }
}
