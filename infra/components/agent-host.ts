import { createHash } from "node:crypto";
import { isIPv4 } from "node:net";
import * as pulumi from "@pulumi/pulumi";
import { agentPaths, AGENT_UNIT, SESSIONS_SLICE } from "../../runtime/domain/index.js";
import { heldAt, heldText, type InventoryAgent } from "../inventory/index.js";
import { AgentId } from "../resources/agent-id/resource.js";
import { AgentReady } from "../resources/agent-ready/resource.js";
import type { CertificateAuthority } from "../resources/certificate-authority/resource.js";
import { DockerDaemon } from "../resources/docker-daemon/resource.js";
import { Files } from "../resources/files/resource.js";
import { ImagePush } from "../resources/image-push/resource.js";
import { KeyPair } from "../resources/key-pair/resource.js";
import { Program } from "../resources/program/resource.js";
import { SessionFirewall } from "../resources/session-firewall/resource.js";
import { holding } from "../resources/resource.js";
import type { Held } from "../resources/shared.js";
import { Slice } from "../resources/slice/resource.js";
import { Unit } from "../resources/unit/resource.js";
import type { Base } from "./base.js";
import type { Common } from "./common.js";
import { directory, file } from "./entries.js";
import { forwardLogs } from "./log-client.js";
import { register } from "./registration.js";
import type { SessionImage } from "./session-image.js";
import type { ShellHost } from "./shell-host.js";
import { agentSettings } from "./texts/agent-settings.js";
import { pruneScript } from "./texts/prune.js";
import { LOG_PORT, clientTls } from "./texts/rsyslog.js";
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
    const held = heldFrom(agent, common);
    // As information: convocate-host says it itself, once.
    if (held) void pulumi.log.info(heldText(agent, common.release) ?? "", this);

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

    const registered = register(args, { hostKey, toShell, agentId: id.agentId }, this);
    const settings = agentSettings(agent, args.shell.args.shell, common.service, this.#nameServers());
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
        held,
      },
      { ...inside, dependsOn: base.runtime },
    );
    const image = new ImagePush(
      `${name}/image`,
      { host, tag: args.image.tag, image: args.image.image, held },
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
      // After the image, so that one restart brings program, settings and image at once (SPEC 8.2). Held, it is restarted for
      // its keys and settings all the same.
      holding(held, ["content", "triggers.release", "triggers.program", "triggers.node"], {
        ...inside,
        dependsOn: [program, config, toShell, docker, slice, firewall, image, base.user, base.packages],
      }),
    );
    new Files(
      `${name}/image-prune`,
      { host, files: { "/etc/cron.daily/convocate-image-prune": file(pruneScript, { mode: "0755" }) } },
      { ...inside, dependsOn: base.packages },
    );
    forwardLogs(args, id.agentId, this);
    new AgentReady(
      `${name}/ready`,
      {
        shell: args.shell.args.shell.name,
        user: common.service.user,
        agentId: id.agentId,
        agentName: name,
        release: common.release,
        // Of one that is held, its program and unit are not ours, and settings and port must reach it all the same.
        restartedFor: digest(
          JSON.stringify(held ? [agent.agentPort, settings] : [common.programs["convocate-agent"], content, settings]),
        ),
      },
      holding(held, ["release"], {
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
      }),
    );
    this.registerOutputs();
  }

  /** The shell's address when it is one that a session can reach it at: a name, or loopback, is not. */
  #shellAddresses(): string[] {
    const address = this.args.shell.args.shell.clusterAddress;
    return isIPv4(address) && !address.startsWith("127.") ? [address] : [];
  }

  /** What the agent's sessions ask for names: the cluster's are the shell's to know. */
  #nameServers(): string[] {
    const addresses = this.#shellAddresses();
    return addresses.length === 0 && this.args.agent.onShellHost ? ["gateway"] : addresses;
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
}

/** Set when the inventory holds the agent at another release than this checkout's. */
export function heldFrom(agent: InventoryAgent, { release: checkout }: Pick<Common, "release">): Held | undefined {
  const at = heldAt(agent, checkout);
  return at === undefined ? undefined : { at, checkout };
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
