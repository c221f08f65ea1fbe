import { PROTOCOL_VERSION, RELEASE, type AgentId } from "../domain/index.js";
import type { RpcHandlers } from "../protocol/rpc/ops.js";
import type { CapacityReport } from "./capacity/capacity.js";
import { timestamp, type Clock } from "./clock.js";
import type { Sessions } from "./sessions/sessions.js";
import type { LiveSettings } from "./settings.js";

/** Every op of the agent's RPC, and which part of it answers. */
export function rpcHandlers(parts: {
  agentId: AgentId;
  sessions: Sessions;
  settings: LiveSettings;
  capacity: CapacityReport;
  currentImage: () => string | null;
  clock: Clock;
  upSince: number;
}): RpcHandlers {
  const { agentId, sessions, settings, capacity, currentImage, clock, upSince } = parts;
  return {
    ping: async () => ({
      agent_id: agentId,
      name: settings.current().name,
      release: RELEASE,
      protocol: PROTOCOL_VERSION,
      time: timestamp(clock),
      image: currentImage(),
      uptime_s: (clock.now() - upSince) / 1000,
    }),
    list: async () => ({ sessions: await sessions.list() }),
    get: ({ id }) => sessions.get(id),
    create: (params) => sessions.create(params),
    restart: ({ id, force }) => sessions.restart(id, force),
    kill: ({ id }) => sessions.kill(id),
    background: async ({ id }) => ({ detached: await sessions.background(id) }),
    delete: async ({ id }) => {
      await sessions.delete(id);
      return {};
    },
    capacity: () => capacity.now(),
    "settings-get": async () => ({ effective: settings.effective(), changes: settings.changes() }),
    "settings-set": async ({ changes }) => {
      await settings.change(changes);
      return { effective: settings.effective(), changes: settings.changes() };
    },
  };
}
