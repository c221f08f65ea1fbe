import { chownSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newAgentId } from "../../runtime/domain/index.js";
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

/** Serves so many agents that speak the real protocol, registered as provisioning does: many containers would measure Docker. */
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
