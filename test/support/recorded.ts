import type { AgentEvent } from "../../runtime/domain/index.js";
import type { TestCluster } from "./cluster.js";

/** What convocate-status on the shell host has stored of an agent, in its order. */
export async function recorded(cluster: TestCluster, agentId: string): Promise<AgentEvent[]> {
  const script = `const { DatabaseSync } = require("node:sqlite");
    const db = new DatabaseSync("/var/lib/convocate/status.db", { readOnly: true });
    const rows = db.prepare("SELECT event FROM events WHERE agent_id = ? ORDER BY id").all(process.argv[1]);
    console.log("[" + rows.map(({ event }) => event).join(",") + "]");`;
  const node = (await cluster.lab.sh("shell", "ls -d /usr/local/lib/convocate/node/*/bin/node | tail -1")).trim();
  const { stdout, stderr } = await cluster.lab.exec("shell", [node, "--no-warnings", "-e", script, agentId]);
  if (stdout === "") throw new Error(`the status database cannot be read: ${stderr}`);
  return JSON.parse(stdout) as AgentEvent[];
}
