import { join } from "node:path";
import { newAgentId, SUBSYSTEM } from "../../runtime/domain/index.js";
import { silentLog } from "../../runtime/protocol/log.js";
import { serveRpc } from "../../runtime/protocol/rpc/server.js";
import { serveSsh } from "../../runtime/protocol/ssh/server.js";

/** The agent's rpc door alone, in a process of its own whose memory can be measured. Argument: the folder of its keys. */
const folder = process.argv[2] ?? "";
const agent_id = newAgentId();
const server = await serveSsh({
  address: "127.0.0.1",
  port: 0,
  hostKeyPath: join(folder, "host"),
  authorizedKeysPath: join(folder, "client.pub"),
  subsystems: {
    [SUBSYSTEM.rpc]: async (channel) => {
      const ping = async () => ({
        agent_id,
        name: "a",
        release: "1.0.0",
        protocol: 1,
        time: new Date().toISOString(),
        image: null,
        uptime_s: process.uptime(),
        labels: {},
      });
      await serveRpc(channel.stream, { ping }, { log: silentLog });
      channel.exit(0);
    },
  },
  log: silentLog,
});
process.stdout.write(`${server.port}\n`);
