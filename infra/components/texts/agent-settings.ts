import { AgentSettings, RESERVED_PORTS } from "../../../runtime/domain/index.js";
import type { Inventory, InventoryAgent, InventoryShell } from "../../inventory/index.js";

/** Also where sshd listens behind a forwarded port: what the inventory has is the forwarded one then, and 22 is reserved anyway. */
function reservedPorts({ agentPort, sshPort, onShellHost }: InventoryAgent, { statusPort }: InventoryShell): number[] {
  return [...new Set([...RESERVED_PORTS, agentPort, sshPort, ...(onShellHost ? [statusPort] : [])])];
}

/**
 * /etc/convocate-agent/settings.json, through its own schema: what the agent would refuse is refused here. `dns` is what its
 * sessions ask for names; none means the host's own.
 */
export function agentSettings(
  agent: InventoryAgent,
  shell: InventoryShell,
  service: Inventory["service"],
  dns: readonly string[],
): string {
  const { sudo, env, memoryBytes, pids, cpus, diskBytes } = agent.session;
  const settings = AgentSettings.parse({
    name: agent.name,
    user: service.user,
    uid: service.uid,
    gid: service.gid,
    home: service.home,
    reserved_ports: reservedPorts(agent, shell),
    labels: agent.labels,
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
