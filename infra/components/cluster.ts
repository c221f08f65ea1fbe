import * as pulumi from "@pulumi/pulumi";
import type { Inventory, InventoryHost } from "../inventory/index.js";
import { CertificateAuthority } from "../resources/certificate-authority/resource.js";
import { AgentHost, heldFrom } from "./agent-host.js";
import type { Held } from "../resources/shared.js";
import { Base } from "./base.js";
import type { Common } from "./common.js";
import { dnsRules } from "./dns-rules.js";
import type { HooksOf } from "./hooks.js";
import { SessionImage } from "./session-image.js";
import { ShellHost } from "./shell-host.js";
import { LOG_PORT } from "./texts/rsyslog.js";

export interface ClusterArgs {
  inventory: Inventory;
  common: Common;
  /** A certificate authority from elsewhere; our own when left out. */
  authority?: { certPem: string; keyPem: pulumi.Output<string> };
  /** Hash of what the session image is built from. */
  imageSource: string;
}

/** A whole cluster: an inventory in, hosts that match it out. */
export class Cluster extends pulumi.ComponentResource {
  /** Agent ids by the inventory's names. */
  readonly agents: pulumi.Output<Record<string, string>>;
  /** By host, the shell host first, what must be there before the operator's hooks run. */
  readonly hosts: readonly HooksOf[];

  constructor(args: ClusterArgs, options?: pulumi.ComponentResourceOptions) {
    const { inventory, common } = args;
    super("convocate:index:Cluster", inventory.cluster, {}, options);
    const { shell } = inventory;
    // One machine may be both: what it has once is declared once, under the shell's name.
    const own = inventory.agents.filter((agent) => agent.onShellHost);
    const shellBase = this.#base(shell, common, own.length > 0 ? ["shell", "agent"] : ["shell"], [
      `${shell.statusPort}/tcp`,
      `${LOG_PORT}/tcp`,
      ...dnsRules(inventory),
      ...own.map((agent) => `${agent.agentPort}/tcp`),
    ]);
    const authority = new CertificateAuthority(
      `${inventory.cluster}/log-authority`,
      {
        commonName: `convocate ${inventory.cluster}`.slice(0, 64),
        // Left out while it is the first, so that clusters that never changed theirs differ in nothing.
        ...(inventory.certificates.generation > 1 && { generation: inventory.certificates.generation }),
        ...(args.authority && { given: args.authority }),
      },
      { parent: this },
    );
    const shellHost = new ShellHost({ shell, agents: inventory.agents, base: shellBase, authority, common }, this);
    const image = new SessionImage(
      { version: inventory.image.version ?? common.release, base: inventory.image.base, source: args.imageSource },
      this,
    );
    const agents = inventory.agents.map((agent) => {
      const base = agent.onShellHost
        ? shellBase
        : this.#base(agent, common, ["agent"], [`${agent.agentPort}/tcp`], heldFrom(agent, common));
      return new AgentHost({ agent, base, shell: shellHost, authority, image, common }, this);
    });
    this.hosts = [
      { machine: shell, after: [shellBase, shellHost] },
      ...agents.map((host) => ({ machine: host.args.agent, after: [host.args.base, host] })),
    ];
    this.agents = pulumi
      .all(agents.map(({ args: { agent }, agentId }) => pulumi.all([agent.name, agentId])))
      .apply((pairs) => Object.fromEntries(pairs));
    this.registerOutputs({ agents: this.agents });
  }

  #base(
    machine: InventoryHost,
    common: Common,
    roles: readonly ("shell" | "agent")[],
    openPorts: string[],
    held?: Held,
  ): Base {
    return new Base({ machine, roles, openPorts, common, held }, this);
  }
}
