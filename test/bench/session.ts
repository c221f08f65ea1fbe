import { randomUUID } from "node:crypto";
import type { TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { doorOf, rpcTo, running } from "../support/door.js";
import type { Target } from "./attaches.js";
import { AGENT_ON_SHELL } from "./ours.js";

/** Makes a session on a one-machine cluster and shows a `cat` in it, whose terminal echoes what is typed and draws nothing else. */
export async function echoingSession(cluster: TestCluster, client: string): Promise<Target> {
  const door = await doorOf(cluster, AGENT_ON_SHELL);
  await using agent = await rpcTo(door);
  const { id } = await agent.rpc.call(
    "create",
    { request_id: randomUUID(), name: "bench", start: true },
    { timeoutMs: 60_000 },
  );
  await running(agent.rpc, id);
  const cat = [
    "docker",
    "exec",
    "-u",
    "1337:1337",
    `convocate-session-${id}`,
    "tmux",
    "new-window",
    "-t",
    "=claude:",
    "cat",
  ];
  await eventually("the session's tmux", async () => (await cluster.lab.exec("shell", cat)).exitCode === 0);
  return { door, id, client, ssh: cluster.lab.sshArgs("shell", "root") };
}

export async function removeSession(cluster: TestCluster, { door, id }: Target): Promise<void> {
  await using agent = await rpcTo(door);
  await agent.rpc.call("delete", { id }, { timeoutMs: 60_000 });
}
