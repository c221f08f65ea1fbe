import * as pulumi from "@pulumi/pulumi";
import { agentKeyFiles, AGENT_PORT, shellPaths } from "../../runtime/domain/index.js";
import type { InventoryAgent } from "../inventory/index.js";
import { Files } from "../resources/files/resource.js";
import { KeyPair } from "../resources/key-pair/resource.js";
import { Line } from "../resources/line/resource.js";
import { hostAndPort, type Common } from "./common.js";
import { directory, file } from "./entries.js";
import type { ShellHost } from "./shell-host.js";

/** What the shell host has of one agent; an agent that is up before all of it is there would be refused. */
export interface Registration {
  files: Files;
  line: Line;
  /** The key that the shell dials the agent with. */
  toAgent: KeyPair;
}

/** On the shell host: the agent's folder of keys, the key to dial it with, and its own key at tcp/223. */
export function register(
  { agent, shell, common }: { agent: InventoryAgent; shell: ShellHost; common: Common },
  { agentId, hostKey, toShell }: { agentId: pulumi.Output<string>; hostKey: KeyPair; toShell: KeyPair },
  parent: pulumi.Resource,
): Registration {
  const host = shell.args.shell.name;
  const group = common.service.user;
  const on = { parent, dependsOn: [shell.folders, shell.args.base.user] };
  const address = hostAndPort(agent.clusterAddress, agent.agentPort, AGENT_PORT);
  const folder = pulumi.interpolate`${shellPaths.agentKeys}/${agentId}`;
  const files = new Files(
    `${agent.name}/registration`,
    {
      host,
      files: pulumi
        .all([folder, agentId, hostKey.publicKey, toShell.publicKey])
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
    { parent, dependsOn: [files, shell.args.base.packages] },
  );
  const line = new Line(
    `${agent.name}/status-authorized-key`,
    {
      host,
      path: shellPaths.authorizedKeys,
      key: agentId,
      line: pulumi.interpolate`${toShell.publicKey} ${agentId}`,
      mode: "0644",
    },
    on,
  );
  return { files, line, toAgent };
}
