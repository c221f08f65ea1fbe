import { execFile } from "node:child_process";
import { chownSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { newAgentId } from "../../runtime/domain/index.js";
import { FakeAgent } from "../support/fake-agent.js";

/**
 * Runs on a shell host, as root, with a folder of agents' keys that is its own: serves agents with so many sessions each, and
 * prints how long each `convocate ls` of the service user takes, from the start of the process to its end, in ms.
 * Arguments: AGENT-KEYS AGENTS SESSIONS UID GID HOME RUNS.
 */
const [agentKeys = "", ...numbers] = process.argv.slice(2);
const [agents = 0, sessions = 0, uid = 0, gid = 0] = numbers.slice(0, 4).map(Number);
const home = numbers[4] ?? "/";
const runs = Number(numbers[5] ?? 1);

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

const run = promisify(execFile);
const times: number[] = [];
for (let at = 0; at < runs; at += 1) {
  const startedMs = performance.now();
  const { stdout } = await run("/usr/local/bin/convocate", ["ls"], {
    uid,
    gid,
    env: { HOME: home, PATH: process.env["PATH"] },
    maxBuffer: 1 << 24,
  });
  times.push(performance.now() - startedMs);
  const lines = stdout.trimEnd().split("\n").length;
  if (lines !== agents * sessions + 1) throw new Error(`ls printed ${lines} lines of ${agents * sessions + 1}`);
}
process.stdout.write(`${JSON.stringify(times)}\n`);
process.exit(0);
