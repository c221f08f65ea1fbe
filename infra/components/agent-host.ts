import { createHash } from "node:crypto";
import { isIPv4 } from "node:net";
import { dirname } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import {
  AGENT_PORT,
  agentKeyFiles,
  agentPaths,
  AGENT_UNIT,
  AgentSettings,
  SESSIONS_SLICE,
  shellPaths,
} from "../../runtime/domain/index.js";
import type { InventoryAgent } from "../inventory/index.js";
import { AgentId } from "../resources/agent-id/resource.js";
import { AgentReady } from "../resources/agent-ready/resource.js";
import type { CertificateAuthority } from "../resources/certificate-authority/resource.js";
import { Certificate } from "../resources/certificate/resource.js";
import { DockerDaemon } from "../resources/docker-daemon/resource.js";
import { Files } from "../resources/files/resource.js";
import { ImagePush } from "../resources/image-push/resource.js";
import { KeyPair } from "../resources/key-pair/resource.js";
import { Line } from "../resources/line/resource.js";
import { Program } from "../resources/program/resource.js";
import { SessionFirewall } from "../resources/session-firewall/resource.js";
import { Slice } from "../resources/slice/resource.js";
import { Token } from "../resources/token/resource.js";
import { Unit } from "../resources/unit/resource.js";
import type { Base } from "./base.js";
import { hostAndPort, type Common } from "./common.js";
import { directory, file } from "./entries.js";
import type { SessionImage } from "./session-image.js";
import type { ShellHost } from "./shell-host.js";
import { pruneScript } from "./texts/prune.js";
import {
  LOG_PORT,
  clientConfig,
  clientTls,
  journaldDropIn,
  restartRsyslog,
  tokenPath,
  tokenRule,
} from "./texts/rsyslog.js";
import { agentUnit } from "./texts/units.js";

export interface AgentHostArgs {
  agent: InventoryAgent;
  base: Base;
  shell: ShellHost;
  authority: CertificateAuthority;
  image: SessionImage;
  common: Common;
}

const UNIT = AGENT_UNIT;

/**
 * A host of sessions, and what the shell host must have of it, so that an agent comes and goes as one. Shell and agent
 * need each other's public keys; no resource needs both, so there is no circle.
 */
export class AgentHost extends pulumi.ComponentResource {
  readonly agentId: pulumi.Output<string>;

  constructor(
    readonly args: AgentHostArgs,
    parent: pulumi.Resource,
  ) {
    const { agent, base, common } = args;
    const { name } = agent;
    const host = name;
    super("convocate:index:AgentHost", name, {}, { parent });
    const inside = { parent: this };

    const docker = new DockerDaemon(`${name}/docker`, { host }, { ...inside, dependsOn: base.packages });
    const { cpuPercent, memoryPercent } = agent;
    const slice = new Slice(`${name}/slice`, { host, slice: SESSIONS_SLICE, cpuPercent, memoryPercent }, inside);
    const folders = new Files(
      `${name}/agent-folders`,
      {
        host,
        files: {
          [agentPaths.etc]: directory({ mode: "0750" }),
          [clientTls.folder]: directory({ mode: "0750" }),
          "/var/lib/convocate-agent": directory({ mode: "0700" }),
          [agentPaths.sessions]: directory({ mode: "0700" }),
          [agentPaths.events]: directory({ mode: "0700" }),
        },
      },
      inside,
    );
    const firewall = this.#sessionFirewall(folders);
    const id = new AgentId(`${name}/agent-id`, { host }, { ...inside, dependsOn: folders });
    this.agentId = id.agentId;
    const keyed = { ...inside, dependsOn: [folders, base.packages] };
    const hostKey = new KeyPair(
      `${name}/agent-host-key`,
      { host, path: agentPaths.hostKey, comment: `convocate-agent@${name}` },
      keyed,
    );
    const toShell = new KeyPair(
      `${name}/agent-to-shell-key`,
      { host, path: agentPaths.agentToShellKey, comment: id.agentId },
      keyed,
    );

    const registered = this.#register(hostKey, toShell);
    const settings = this.#settings();
    const config = new Files(
      `${name}/agent-config`,
      {
        host,
        files: {
          [agentPaths.shellHost]: file(`${args.shell.statusAddress}\n`),
          [agentPaths.shellHostKey]: file(pulumi.interpolate`${args.shell.statusHostKey.publicKey}\n`),
          [agentPaths.authorizedKeys]: file(pulumi.interpolate`${registered.toAgent.publicKey} convocate-shell\n`),
          [agentPaths.settings]: file(settings),
        },
        // What was changed by hand may have been read at a start meanwhile. A unit whose file is not there (yet, or any more)
        // is an error to systemctl, and its own resource makes it right.
        afterRepair: [
          [
            "sh",
            "-c",
            '[ ! -e "$1" ] || exec systemctl try-restart "$2"',
            "repair",
            `/etc/systemd/system/${UNIT}`,
            UNIT,
          ],
        ],
      },
      { ...inside, dependsOn: folders },
    );
    const program = new Program(
      `${name}/convocate-agent`,
      {
        host,
        program: "convocate-agent",
        release: common.release,
        nodeVersion: common.nodeVersion,
        files: common.programs["convocate-agent"],
      },
      { ...inside, dependsOn: base.runtime },
    );
    const image = new ImagePush(
      `${name}/image`,
      { host, tag: args.image.tag, image: args.image.image },
      { ...inside, dependsOn: [docker, folders, base.packages] },
    );
    const content = agentUnit(agent.agentPort, common.service.home);
    const unit = new Unit(
      `${name}/${UNIT}`,
      {
        host,
        unit: UNIT,
        content,
        triggers: {
          release: common.release,
          program: JSON.stringify(common.programs["convocate-agent"]),
          node: common.nodeVersion,
          agentId: id.agentId,
          hostKey: hostKey.publicKey,
          settings,
        },
      },
      // After the image, so that one restart brings program, settings and image at once (SPEC 8.2).
      { ...inside, dependsOn: [program, config, toShell, docker, slice, firewall, image, base.user, base.packages] },
    );
    new Files(
      `${name}/image-prune`,
      { host, files: { "/etc/cron.daily/convocate-image-prune": file(pruneScript, { mode: "0755" }) } },
      { ...inside, dependsOn: base.packages },
    );
    this.#forwardLogs();
    new AgentReady(
      `${name}/ready`,
      {
        shell: args.shell.args.shell.name,
        user: common.service.user,
        agentId: id.agentId,
        agentName: name,
        release: common.release,
        restartedFor: digest(JSON.stringify([common.programs["convocate-agent"], content, settings])),
      },
      {
        ...inside,
        dependsOn: [
          unit,
          registered.files,
          registered.line,
          registered.toAgent,
          args.shell.unit,
          base.firewall,
          args.shell.args.base.firewall,
        ],
      },
    );
    this.registerOutputs();
  }

  /** The shell's address when it is one that a session can reach it at: a name, or loopback, is not. */
  #shellAddresses(): string[] {
    const address = this.args.shell.args.shell.clusterAddress;
    return isIPv4(address) && !address.startsWith("127.") ? [address] : [];
  }

  #sessionFirewall(folders: Files): SessionFirewall {
    const { agent, base, shell } = this.args;
    const shellPorts = [shell.args.shell.statusPort, LOG_PORT];
    const addresses = this.#shellAddresses();
    return new SessionFirewall(
      `${agent.name}/session-firewall`,
      {
        host: agent.name,
        egress: agent.egress,
        nameServers: addresses,
        dnsHere: agent.onShellHost,
        doors: agent.onShellHost ? [agent.agentPort, ...shellPorts] : [agent.agentPort],
        otherDoors: agent.onShellHost
          ? []
          : addresses.flatMap((address) => shellPorts.map((port) => `${address}:${port}`)),
      },
      { parent: this, dependsOn: [folders, base.packages] },
    );
  }

  /** /etc/convocate-agent/settings.json, through its own schema: what the agent would refuse is refused here. */
  #settings(): string {
    const { agent, common } = this.args;
    const { sudo, env, memoryBytes, pids, cpus, diskBytes } = agent.session;
    const addresses = this.#shellAddresses();
    // The cluster's names are the shell's to know.
    const dns = addresses.length === 0 && agent.onShellHost ? ["gateway"] : addresses;
    const settings = AgentSettings.parse({
      name: agent.name,
      user: common.service.user,
      uid: common.service.uid,
      gid: common.service.gid,
      home: common.service.home,
      session: {
        ...(sudo === undefined ? {} : { sudo }),
        env: env ?? {},
        dns,
        limits: {
          ...(memoryBytes === undefined ? {} : { memory_bytes: memoryBytes }),
          ...(pids === undefined ? {} : { pids }),
        },
      },
      capacity: {
        cpu_percent: agent.cpuPercent,
        memory_percent: agent.memoryPercent,
        disk_percent: agent.diskPercent,
        ...(cpus === undefined ? {} : { cpus }),
        ...(diskBytes === undefined ? {} : { disk_bytes: diskBytes }),
      },
    });
    return `${JSON.stringify(settings, null, 2)}\n`;
  }

  /** On the shell host: the agent's folder of keys, the key to dial it with, and its own key at tcp/223. */
  #register(hostKey: KeyPair, toShell: KeyPair): { files: Files; line: Line; toAgent: KeyPair } {
    const { agent, shell, common } = this.args;
    const host = shell.args.shell.name;
    const group = common.service.user;
    const on = { parent: this, dependsOn: [shell.folders, shell.args.base.user] };
    const address = hostAndPort(agent.clusterAddress, agent.agentPort, AGENT_PORT);
    const folder = pulumi.interpolate`${shellPaths.agentKeys}/${this.agentId}`;
    const files = new Files(
      `${agent.name}/registration`,
      {
        host,
        files: pulumi
          .all([folder, this.agentId, hostKey.publicKey, toShell.publicKey])
          .apply(([path, id, hostPublic, toShellPublic]) => ({
            [path]: directory({ mode: "0750", group }),
            [`${path}/${agentKeyFiles.host}`]: file(`${address}\n`, { mode: "0640", group }),
            [`${path}/${agentKeyFiles.name}`]: file(`${agent.name}\n`, { mode: "0640", group }),
            [`${path}/${agentKeyFiles.hostKey}`]: file(`${hostPublic}\n`, { group }),
            [`${path}/${agentKeyFiles.agentToShellPublicKey}`]: file(`${toShellPublic} ${id}\n`, { group }),
          })),
      },
      on,
    );
    const toAgent = new KeyPair(
      `${agent.name}/shell-to-agent-key`,
      {
        host,
        path: pulumi.interpolate`${folder}/${agentKeyFiles.privateKey}`,
        comment: "convocate-shell",
        mode: "0640",
        group,
      },
      { parent: this, dependsOn: [files, shell.args.base.packages] },
    );
    const line = new Line(
      `${agent.name}/status-authorized-key`,
      {
        host,
        path: shellPaths.authorizedKeys,
        key: this.agentId,
        line: pulumi.interpolate`${toShell.publicKey} ${this.agentId}`,
        mode: "0644",
      },
      on,
    );
    return { files, line, toAgent };
  }

  /** The agent's end of log forwarding, and its token at the shell host. */
  #forwardLogs(): void {
    const { agent, shell, base, authority } = this.args;
    const { name } = agent;
    const host = name;
    const inside = { parent: this };
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
          .all([this.agentId, token])
          .apply(([id, secret]) => ({ [tokenPath(id)]: file(tokenRule(id, secret), { mode: "0600" }) })),
        reload: restartRsyslog,
      },
      // The list of names that may come is the log server's.
      { ...inside, dependsOn: shell.logServer },
    );
    new Files(
      `${name}/log-client`,
      {
        host,
        files: {
          [clientTls.ca]: file(authority.certPem),
          [clientTls.cert]: file(certificate.certPem),
          [clientTls.key]: file(certificate.keyPem, { mode: "0600" }),
          [dirname(journaldDropIn.path)]: directory(),
          [journaldDropIn.path]: file(journaldDropIn.content),
          "/etc/rsyslog.d/10-convocate-client.conf": file(
            token.apply((secret) => clientConfig(shell.args.shell.clusterAddress, secret)),
            { mode: "0600" },
          ),
        },
        reload: [["systemctl", "restart", "systemd-journald.service"], ...restartRsyslog],
      },
      { ...inside, dependsOn: [known, base.packages, base.rsyslog] },
    );
  }
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
