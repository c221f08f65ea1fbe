import { AgentSettings } from "../../../runtime/domain/index.js";
import type { Inventory, InventoryAgent } from "../../inventory/index.js";

/**
 * /etc/convocate-agent/settings.json, through its own schema: what the agent would refuse is refused here. `dns` is what its
 * sessions ask for names; none means the host's own.
 */
export function agentSettings(agent: InventoryAgent, service: Inventory["service"], dns: readonly string[]): string {
  const { sudo, env, memoryBytes, pids, cpus, diskBytes } = agent.session;
  const settings = AgentSettings.parse({
    name: agent.name,
    user: service.user,
    uid: service.uid,
    gid: service.gid,
    home: service.home,
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
