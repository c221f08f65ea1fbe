import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Limits, Session, SessionId } from "../../runtime/domain/index.js";
import type { TestCluster } from "../support/cluster.js";
import type { RpcClient } from "../../runtime/protocol/rpc/client.js";
import { eventually } from "../support/eventually.js";
import { doorOf, rpcTo } from "../support/door.js";
import { attachOurs, attachPeer, settle, type Target } from "./attaches.js";
import { median, type Figure } from "./figures.js";
import { AGENT_ON_SHELL } from "./ours.js";

const OUTPUT_BYTES = 1024 ** 3;
const OUTPUT_TURNS = 8;
const OUTPUT_TIMEOUT_MS = 600_000;
const DONE = "all-was-written";
const IDLE_SESSIONS = 100;
const IDLE_SECONDS = 60;
/** The last event is out, and V8 has given back what the starts took: it does so 100 s after its last collection (MemoryReducer). */
const SETTLED_MS = 150_000;
/** What the kernel counts processor time in (getconf CLK_TCK). */
const TICKS_PER_SECOND = 100;
/**
 * So that a hundred are admitted on a small machine. What each pledges of the processors is no cap: in one of 0.01 cores a
 * container needs half a minute to start, and each look into it waits as long.
 */
const SMALL: Limits = { memory_bytes: 64 * 1024 ** 2, disk_bytes: 1024 ** 2 };
const SMALL_PLEDGE = 0.005;

/**
 * 1 GiB that a session writes to its screen, until the attach shows its end, in turns so that a machine which slows down
 * meanwhile slows both; and what memory that took the agent at most.
 */
export async function measureOutput(cluster: TestCluster, sessions: { ours: Target; peer: Target }): Promise<Figure[]> {
  const ways = { ours: attachOurs, peer: attachPeer } as const;
  const times = { ours: 0, peer: 0 };
  const bytes = OUTPUT_BYTES / OUTPUT_TURNS;
  const write = `while read -r turn; do yes 0123456789abcdefghijklmnopqrstuvwxyz | head -c ${bytes}; echo; echo "${DONE} $turn"; done`;
  for (const { id } of Object.values(sessions)) {
    const window = ["tmux", "new-window", "-t", "=claude:", "sh", "-c", write];
    await cluster.lab.exec("shell", ["docker", "exec", "-u", "1337:1337", `convocate-session-${id}`, ...window]);
  }
  for (let turn = 1; turn <= OUTPUT_TURNS; turn++) {
    for (const way of ["ours", "peer"] as const) {
      const attach = await ways[way](sessions[way]);
      try {
        await attach.firstByteMs;
        await settle();
        times[way] += await attach.until(`${turn}\r`, `${DONE} ${turn}`, OUTPUT_TIMEOUT_MS);
      } finally {
        await attach.detach();
      }
    }
  }
  const peak = /VmHWM:\s+(\d+) kB/.exec(await ofAgent(cluster, "cat /proc/$pid/status"))?.[1];
  return [
    {
      what: "1 GiB of session output through attach",
      ours: times.ours,
      beside: { name: "ssh -tt, docker exec -it, tmux", value: times.peer },
      target: { kind: "ratio", atMost: 1 },
      samples: OUTPUT_TURNS,
    },
    {
      what: "agent's memory after it, the most there was",
      unit: "MB",
      ours: (Number(peak) * 1024) / 1e6,
      beside: null,
      target: { kind: "value", atMost: 200 },
      samples: 1,
    },
  ];
}

/** From the order to the running session, beside `docker run` of the same image on the host itself. */
export async function measureStart(cluster: TestCluster, runs: number): Promise<Figure[]> {
  const door = await doorOf(cluster, AGENT_ON_SHELL);
  await using agent = await rpcTo(door);
  const image = (await cluster.lab.sh("shell", "cat /etc/convocate-agent/current-image")).trim();
  const times: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
  // One of each is thrown away: caches are warm for both then.
  for (let run = -1; run < runs; run++) {
    // Docker goes on tidying up after it has said that a container is gone; neither shall pay for the other's.
    await settle();
    const startedMs = performance.now();
    const { id, status } = await create(agent.rpc, "bench-start", {});
    const ours = performance.now() - startedMs;
    if (status.state !== "running") throw new Error(`a session that was created is ${status.state}, not running`);
    await agent.rpc.call("delete", { id }, { timeoutMs: 60_000 });
    await settle();
    const script = `s=$(date +%s%N); docker run -d --init --name bench-peer ${image} >/dev/null; e=$(date +%s%N)
      docker rm -f bench-peer >/dev/null; echo $((e - s))`;
    const peer = Number(await cluster.lab.sh("shell", script)) / 1e6;
    if (run < 0) continue;
    times.ours.push(ours);
    times.peer.push(peer);
  }
  return [
    {
      what: "session create to running, p50",
      ours: median(times.ours),
      beside: { name: "docker run of the same image", value: median(times.peer) },
      target: { kind: "ratio", atMost: 1.2 },
      samples: runs,
    },
  ];
}

/**
 * What the agent takes with 100 sessions that run and nobody at them. Their CLI is a stand-in that sleeps in the session's real
 * tmux: 100 real ones would take 23 GB.
 */
export async function measureIdle(cluster: TestCluster): Promise<Figure[]> {
  const door = await doorOf(cluster, AGENT_ON_SHELL);
  await using agent = await rpcTo(door);
  const { lab } = cluster;
  const file = "/etc/convocate-agent/current-image";
  const image = (await lab.sh("shell", `cat ${file}`)).trim();
  const made: SessionId[] = [];
  await lab.sh(
    "shell",
    `printf 'FROM %s\\nRUN printf "#!/bin/sh\\\\nexec sleep infinity\\\\n" >/usr/local/bin/claude && chmod 755 /usr/local/bin/claude\\n' ${image} |
      docker build -q -t convocate:0.0.0-idle - && echo convocate:0.0.0-idle >${file}`,
    { timeoutMs: 300_000 },
  );
  try {
    await agent.rpc.call("settings-set", { changes: { cpus: SMALL_PLEDGE } });
    while (made.length < IDLE_SESSIONS) made.push((await create(agent.rpc, `idle-${made.length}`, SMALL)).id);
    await sleep(SETTLED_MS);
    const ticks = async (): Promise<number> =>
      (await ofAgent(cluster, "cut -d' ' -f14,15 /proc/$pid/stat"))
        .trim()
        .split(" ")
        .map(Number)
        .reduce((a, b) => a + b, 0);
    const before = await ticks();
    await sleep(IDLE_SECONDS * 1000);
    const used = (await ticks()) - before;
    const rss = /VmRSS:\s+(\d+) kB/.exec(await ofAgent(cluster, "cat /proc/$pid/status"))?.[1];
    return [
      {
        what: `agent's memory with ${IDLE_SESSIONS} sessions`,
        unit: "MB",
        ours: (Number(rss) * 1024) / 1e6,
        beside: null,
        target: { kind: "value", atMost: 120 },
        samples: 1,
      },
      {
        what: `agent's share of one processor with ${IDLE_SESSIONS} idle sessions, ${IDLE_SECONDS} s`,
        unit: "%",
        ours: (used / TICKS_PER_SECOND / IDLE_SECONDS) * 100,
        beside: null,
        target: { kind: "value", atMost: 0.5 },
        samples: 1,
      },
    ];
  } finally {
    await agent.rpc.call("settings-set", { changes: { cpus: null } });
    await lab.sh("shell", `echo ${image} >${file}`);
    await Promise.all(made.map((id) => agent.rpc.call("delete", { id }, { timeoutMs: 300_000 })));
  }
}

async function create(rpc: RpcClient, name: string, limits: Limits): Promise<Session> {
  return await rpc.call("create", { request_id: randomUUID(), name, limits, start: true }, { timeoutMs: 60_000 });
}

/** What a command says of the agent's process, `$pid`. */
async function ofAgent(cluster: TestCluster, command: string): Promise<string> {
  return await eventually("the agent's process", async () => {
    const { exitCode, stdout } = await cluster.lab.exec("shell", [
      "bash",
      "-c",
      `pid=$(systemctl show -p MainPID --value convocate-agent); ${command}`,
    ]);
    return exitCode === 0 && stdout;
  });
}
