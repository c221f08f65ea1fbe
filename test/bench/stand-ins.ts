import { chownSync, mkdtempSync, readdirSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { newAgentId, shellPaths } from "../../runtime/domain/index.js";
import { readLines, writeLine } from "../../runtime/protocol/ndjson.js";
import { FakeAgent } from "../support/fake-agent.js";

export interface StandIns {
  /** Folder of agents' keys that is nobody else's. */
  agentKeys: string;
  agents: number;
  /** Of each agent. */
  sessions: number;
  /** The service user, who dials. */
  uid: number;
  gid: number;
}

const CONNECTED_TIMEOUT_MS = 30_000;

/**
 * Serves so many agents that speak the real protocol, registered as provisioning does: many containers would measure
 * Docker. Resolves once convocate-status is connected to each, as it is to every agent that was registered a moment ago.
 */
export async function serveStandIns({ agentKeys, agents, sessions, uid, gid }: StandIns): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "convocate-bench-"));
  for (let at = 0; at < agents; at += 1) {
    const agent = new FakeAgent(dir, newAgentId(), `agent-${at}`);
    for (let n = 0; n < sessions; n += 1) agent.addSession(`session-${at}-${n}`, { port: 1001 + n });
    await agent.start();
    agent.register(agentKeys);
    const folder = join(agentKeys, agent.id);
    chownSync(folder, uid, gid);
    for (const name of readdirSync(folder)) chownSync(join(folder, name), uid, gid);
  }
  await connectedTo(agents);
}

/** Until convocate-status hears so many agents' lists. */
async function connectedTo(agents: number): Promise<void> {
  const socket = connect(shellPaths.statusSocket);
  const deadline = performance.now() + CONNECTED_TIMEOUT_MS;
  let lists = 0;
  await writeLine(socket, { kind: "list" });
  for await (const read of readLines(socket, { maxBytes: 16 * 1024 * 1024 })) {
    const kind = "line" in read ? (JSON.parse(read.line) as { kind: string }).kind : "";
    if (kind === "list") lists += 1;
    if (kind !== "listed") continue;
    if (lists === agents) break;
    if (performance.now() > deadline) throw new Error(`convocate-status is connected to ${lists} agents of ${agents}`);
    lists = 0;
    await sleep(200);
    await writeLine(socket, { kind: "list" });
  }
  socket.destroy();
}

/** AGENT-KEYS AGENTS SESSIONS UID GID HOME RUNS, as the bench's programs on the shell host are given them. */
export function orders(argv: readonly string[]): StandIns & { home: string; runs: number } {
  const [agentKeys = "", agents, sessions, uid, gid, home = "/", runs] = argv;
  return {
    agentKeys,
    agents: Number(agents),
    sessions: Number(sessions),
    uid: Number(uid),
    gid: Number(gid),
    home,
    runs: Number(runs),
  };
}
