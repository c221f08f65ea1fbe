import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { AttachReply } from "../../runtime/protocol/attach/header.js";
import { readFirstLine } from "../../runtime/protocol/ndjson.js";
import type { SshConnection } from "../../runtime/protocol/ssh/types.js";
import { rpcTo } from "../support/door.js";
import { eventually } from "../support/eventually.js";
import { RunningSession } from "../support/running-session.js";

/** Fewer for a look in between: CONVOCATE_ATTACHES=1000. */
const ATTACHES = Number(process.env.CONVOCATE_ATTACHES ?? 10_000);
/** Until pools, caches and the heap have their size. */
const WARM_UP = 500;
const AT_ONCE = 8;
const BETWEEN = 1_000;
/** Of one step of an attach, on a machine that has other things to do. */
const WAIT_MS = 120_000;

let session: RunningSession;

beforeAll(async () => {
  session = await RunningSession.open("attach-churn");
}, 1_200_000);
afterAll(async () => {
  await session[Symbol.asyncDispose]();
}, 120_000);

/** One attach, up to the session's first output; every other one is left without a word. */
async function attach(connection: SshConnection, at: number): Promise<void> {
  const channel = await connection.openSubsystem("convocate-agent-attach");
  const { stream } = channel;
  stream.on("error", () => undefined);
  const cols = 80 + (at % 40);
  stream.write(`${JSON.stringify({ id: session.id, cols, rows: 30, mode: "rw", term: "xterm-256color" })}\n`);
  const reply = AttachReply.parse(JSON.parse(await readFirstLine(stream, { timeoutMs: WAIT_MS })));
  if (!reply.ok) throw new Error(`${reply.code}: ${reply.error}`);
  const ended = new AbortController();
  void channel.closed.then((status) => ended.abort(new Error(`it ended with status ${status} before`)));
  const first = once(stream, "data", { signal: AbortSignal.any([AbortSignal.timeout(WAIT_MS), ended.signal]) });
  await within("its first output", first);
  const closed = within(
    at % 2 === 0 ? "its end after Ctrl-b d" : "its end after it was dropped",
    once(stream, "close", { signal: AbortSignal.timeout(WAIT_MS) }),
  );
  stream.resume();
  // Ctrl-b d, and what a dropped connection looks like to the agent.
  if (at % 2 === 0) {
    // tmux takes keys of a session, whoever types them, that follow each other within a millisecond for a paste, which binds
    // nothing. With eight at the keys that happens, and one of them tries again.
    const over = new AbortController();
    const open = (): boolean => !over.signal.aborted;
    void closed.finally(() => over.abort()).catch(() => undefined);
    for (let tries = 0; open() && tries < 60; tries++) {
      stream.write("\x02");
      await sleep(20);
      if (open()) stream.write("d");
      for (let waited = 0; open() && waited < 2_000; waited += 20) await sleep(20);
    }
  } else stream.destroy();
  await closed;
}

async function within(what: string, wait: Promise<unknown>): Promise<void> {
  await wait.catch((cause: unknown) => {
    throw new Error(`an attach waited ${WAIT_MS / 1000} s in vain for ${what}`, { cause });
  });
}

interface Measured {
  rssMb: number;
  descriptors: number;
  tmuxClients: number;
  processes: number;
}

/** What the agent holds, once the last attach has been cleared away. */
async function measure(): Promise<Measured> {
  const inside = (script: string): Promise<string> => session.inside("sh", "-c", script);
  await eventually("every tmux client to be gone", async () => (await inside("tmux list-clients | wc -l")) === "0", {
    timeoutMs: 60_000,
  });
  const text = await session.on(
    `pid=$(systemctl show -p MainPID --value convocate-agent)
     awk '/VmRSS/ { print $2 }' /proc/$pid/status; ls /proc/$pid/fd | wc -l`,
  );
  const [rssKb = 0, descriptors = 0] = text.split("\n").map(Number);
  const processes = Number(await inside("ps -e --no-headers | wc -l"));
  return { rssMb: Math.round(rssKb / 1024), descriptors, tmuxClients: 0, processes };
}

test(`${ATTACHES} attaches and detaches leave the agent's memory, its descriptors and tmux's clients as they were`, async () => {
  await using connected = await rpcTo(session.door);
  let begun = 0;
  const churn = async (until: number): Promise<void> => {
    const worker = async (): Promise<void> => {
      while (begun < until) await attach(connected.connection, begun++);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  };
  await churn(Math.min(WARM_UP, ATTACHES / 2));
  const warm = await measure();
  const from = Date.now();
  console.log(`after ${begun}: ${JSON.stringify(warm)}`);
  let now = warm;
  while (begun < ATTACHES) {
    await churn(Math.min(ATTACHES, begun + BETWEEN));
    now = await measure();
    console.log(
      `after ${begun}: ${JSON.stringify(now)}, ${Math.round((Date.now() - from) / (begun - WARM_UP))} ms each`,
    );
  }
  expect(now.descriptors).toBeLessThanOrEqual(warm.descriptors + 16);
  expect(now.processes).toBeLessThanOrEqual(warm.processes + 2);
  // Where the heap stands between two collections; a leak of 10 KB an attach would be 100 MB.
  expect(now.rssMb).toBeLessThanOrEqual(warm.rssMb + 40);
}, 3_600_000);
