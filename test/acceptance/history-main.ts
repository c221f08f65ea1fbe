import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Publisher } from "../../runtime/agent/events/publisher.js";
import { Spool } from "../../runtime/agent/events/spool.js";
import { systemClock } from "../../runtime/agent/clock.js";
import { newAgentId, shellPaths, type AgentEvent, type AgentId } from "../../runtime/domain/index.js";
import { silentLog } from "../../runtime/protocol/log.js";
import { dial } from "../../runtime/protocol/ssh/client.js";
import { newKeyPair } from "../support/keys.js";

/**
 * Runs on a shell host, as root, with folders of its own in place of convocate's (a small disk for its state): the real
 * convocate-status, and AGENTS agents' own spools and publishers that send it events all the time, while it is killed, its
 * disk is full, and it is killed again. Prints what its history says, as one line of JSON.
 * Arguments: AGENTS EVENTS-OF-EACH UID GID.
 */
export interface History {
  /** Of each agent: the numbers that `convocate events` printed afterwards, and those that `events -f` printed meanwhile. */
  agents: { kept: number[]; followed: number[] }[];
  /** From the last restart, with room on the disk again, to the last event of the last agent. */
  lastMs: number;
  /** Whether convocate-status said that it could not store, while it could not. */
  complained: boolean;
}

const PORT = 2233;
const CLIENT = "/usr/local/bin/convocate";
const [agentCount = 0, eventCount = 0, uid = 0, gid = 0] = process.argv.slice(2).map(Number);

const hostKey = newKeyPair("status");
writeFileSync(shellPaths.hostKey, hostKey.privateKey, { mode: 0o600 });
mkdirSync(shellPaths.agentKeys, { mode: 0o755 });
const spools = mkdtempSync(join(tmpdir(), "convocate-history-"));
const agents = Array.from({ length: agentCount }, () => {
  const id = newAgentId();
  return {
    id,
    key: newKeyPair(id),
    spool: new Spool({ path: join(spools, id, "spool.db"), agentId: id, clock: systemClock, log: silentLog }),
  };
});
writeFileSync(shellPaths.authorizedKeys, `${agents.map(({ key }) => key.publicKey).join("\n")}\n`);

let service: ChildProcess;
async function startService(): Promise<void> {
  service = spawn(CLIENT, ["status-serve", "--port", String(PORT)], { stdio: ["ignore", "ignore", "inherit"] });
  for (let tries = 0; tries < 200; tries += 1) {
    const socket = connect(PORT, "127.0.0.1");
    const up = await Promise.race([once(socket, "connect").then(() => true), sleep(200, false)]).catch(() => false);
    socket.destroy();
    if (up) return;
    await sleep(100);
  }
  throw new Error("convocate-status does not listen");
}
async function endService(signal: NodeJS.Signals): Promise<void> {
  const closed = once(service, "exit");
  service.kill(signal);
  await closed;
}

const asUser = { uid, gid, env: { HOME: "/home/claude", PATH: process.env["PATH"] } };
const numbers = (text: string): Map<AgentId, number[]> => {
  const seen = new Map<AgentId, number[]>();
  for (const line of text.split("\n").filter((each) => each.startsWith("{"))) {
    const { agent_id, seq } = JSON.parse(line) as AgentEvent;
    seen.set(agent_id, [...(seen.get(agent_id) ?? []), seq]);
  }
  return seen;
};

await startService();
const publishers = agents.map(({ id, key, spool }) => {
  const data = {
    name: id,
    release: "3.0.0",
    image: null,
    uptime_s: 1,
    sessions: { total: 0, running: 0, attached: 0 },
  };
  const heartbeat = (): AgentEvent => ({
    seq: spool.lastSeq,
    stream: spool.stream,
    type: "agent.heartbeat",
    agent_id: id,
    timestamp: new Date().toISOString(),
    data,
  });
  const publisher = new Publisher({
    spool,
    heartbeat,
    dial: (signal) =>
      dial({ host: "127.0.0.1", port: PORT, privateKey: key.privateKey, hostKey: hostKey.publicKey, signal }),
    clock: systemClock,
    log: silentLog,
  });
  publisher.start();
  return publisher;
});

const follower = spawn(CLIENT, ["events", "-f", "--since", "1h", "--json"], {
  ...asUser,
  stdio: ["ignore", "pipe", "inherit"],
});
let followed = "";
follower.stdout.setEncoding("utf8").on("data", (text: string) => (followed += text));

/** Each agent's next events, a few at a time as they come in life, up to this number. */
let said = 0;
async function sayUpTo(number: number): Promise<void> {
  for (; said < number; said += 1) {
    for (const { spool } of agents)
      spool.append("image.loaded", null, { image: `convocate:1.0.${said}`, filler: "x".repeat(500) });
    await sleep(2);
  }
}

const quarter = Math.floor(eventCount / 4);
await sayUpTo(quarter);
await endService("SIGKILL");
await sayUpTo(2 * quarter);
await startService();
// All of them come back at once, and in the middle of that it is killed again.
await sleep(300);
await endService("SIGKILL");
await startService();

const state = shellPaths.statusDb.replace(/\/[^/]*$/, "");
const filler = join(state, "filler");
await promisify(execFile)("sh", ["-c", `dd if=/dev/zero of=${filler} bs=4k 2>/dev/null || true`]);
await sayUpTo(3 * quarter);
let complained = false;
for (let tries = 0; !complained && tries < 100; tries += 1) {
  const { stdout, stderr } = await promisify(execFile)(CLIENT, ["events", "-n", "1"], asUser).catch(
    (failed: unknown) => failed as { stdout: string; stderr: string },
  );
  complained = /cannot store events|full/.test(stdout + stderr);
  if (!complained) await sleep(100);
}
await endService("SIGTERM");
await startService();
await sayUpTo(eventCount);
rmSync(filler);
await endService("SIGKILL");
const restartedMs = performance.now();
await startService();
while (agents.some(({ spool }) => spool.size > 0) && performance.now() - restartedMs < 120_000) await sleep(50);
const lastMs = performance.now() - restartedMs;
const isWhole = (): boolean => [...numbers(followed).values()].flat().length >= agentCount * eventCount;
for (let tries = 0; !isWhole() && tries < 100; tries += 1) await sleep(100);

const { stdout } = await promisify(execFile)(CLIENT, ["events", "--since", "1h", "--json"], {
  ...asUser,
  maxBuffer: 1 << 28,
});
const kept = numbers(stdout);
const live = numbers(followed);
const history: History = {
  agents: agents.map(({ id }) => ({ kept: kept.get(id) ?? [], followed: live.get(id) ?? [] })),
  lastMs,
  complained,
};
process.stdout.write(`${JSON.stringify(history)}\n`);
follower.kill("SIGINT");
for (const publisher of publishers) await publisher.close();
await endService("SIGTERM");
rmSync(spools, { recursive: true });
process.exit(0);
