import { PROTOCOL_VERSION, RELEASE, type AgentId, type SessionId } from "../domain/index.js";
import type { RpcHandlers } from "../protocol/rpc/ops.js";
import type { CapacityReport } from "./capacity/capacity.js";
import { timestamp, type Clock } from "./clock.js";
import { COPY_MS, KILL_MS, OPERATION_MS, type Deadlines } from "./deadlines.js";
import { inRunning } from "./sessions/not-here.js";
import type { Sessions } from "./sessions/sessions.js";
import type { LiveSettings } from "./settings.js";
import type { Transfers } from "./transfer/transfers.js";

/** Every op of the agent's RPC, which part of it answers, and by when. */
export function rpcHandlers(parts: {
  agentId: AgentId;
  sessions: Sessions;
  settings: LiveSettings;
  capacity: Pick<CapacityReport, "now">;
  deadlines: Deadlines;
  /** What a running session's terminal shows. */
  screen: (id: SessionId, options: { styled: boolean }) => Promise<string[]>;
  transfers: Pick<Transfers, "handlers">;
  currentImage: () => string | null;
  clock: Clock;
  /** By the monotonic clock. */
  upSince: number;
}): RpcHandlers {
  const { agentId, sessions, settings, capacity, transfers, deadlines, screen, currentImage, clock, upSince } = parts;
  return {
    ping: async () => ({
      agent_id: agentId,
      name: settings.current().name,
      release: RELEASE,
      protocol: PROTOCOL_VERSION,
      time: timestamp(clock),
      image: currentImage(),
      uptime_s: (clock.monotonicMs() - upSince) / 1000,
      labels: settings.current().labels,
    }),
    // Both answer without Docker, too: they say that it does not.
    list: async () => ({ sessions: await sessions.list() }),
    get: ({ id }) => sessions.get(id),
    create: (params) =>
      params.start
        ? deadlines.withDocker("create", (signal) => sessions.create(params, signal))
        : deadlines.within("create", OPERATION_MS, (signal) => sessions.create(params, signal)),
    restart: ({ id, force, request_id }) =>
      deadlines.withDocker("restart", (signal) => sessions.restart(id, force, request_id, signal)),
    kill: ({ id }) => deadlines.withDocker("kill", (signal) => sessions.kill(id, signal), KILL_MS),
    background: ({ id }) =>
      deadlines.withDocker("background", async () => ({ detached: await sessions.background(id) })),
    delete: async ({ id, request_id }) => {
      await deadlines.withDocker("delete", (signal) => sessions.delete(id, request_id, signal));
      return {};
    },
    edit: (params) => deadlines.within("edit", OPERATION_MS, () => sessions.edit(params)),
    clone: (params) => deadlines.within("clone", COPY_MS, (signal) => sessions.clone(params, signal)),
    override: (params) => deadlines.within("override", OPERATION_MS, () => sessions.override(params)),
    logs: async (params) => ({ lines: await deadlines.within("logs", OPERATION_MS, () => sessions.logs(params)) }),
    capacity: () => deadlines.withDocker("capacity", () => capacity.now()),
    screen: async ({ id, styled }) => {
      const { name } = sessions.find(id);
      const shown = (): Promise<string[]> => inRunning(name, () => screen(id, { styled }));
      return { lines: await deadlines.withDocker("screen", shown) };
    },
    // What they may wait for is a home to be walked or removed, and Docker.
    export: (params) => deadlines.withDocker("export", () => transfers.handlers.export(params), COPY_MS),
    import: (params) => deadlines.withDocker("import", () => transfers.handlers.import(params), COPY_MS),
    "settings-get": async () => ({ effective: settings.effective(), changes: settings.changes() }),
    "settings-set": async ({ changes }) => {
      await settings.change(changes);
      return { effective: settings.effective(), changes: settings.changes() };
    },
  };
}
