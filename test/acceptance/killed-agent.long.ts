import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { SessionId } from "../../runtime/domain/index.js";
import type { OpResult } from "../../runtime/protocol/rpc/ops.js";
import { acceptanceCluster, type TestCluster } from "../support/cluster.js";
import { eventually } from "../support/eventually.js";
import { doorOf, rpcTo, type Door } from "../support/door.js";

const SLOW = { timeoutMs: 120_000 };
const ROUNDS = 8;
/** The kill takes about as long to reach the host; operations of this kind last some tens of ms. */
const WITHIN_MS = 250;

let cluster: TestCluster;
let door: Door;

beforeAll(async () => {
  cluster = await acceptanceCluster({ name: "t-accept", agents: 2 });
  door = await doorOf(cluster, "agent-2");
}, 1_200_000);
afterAll(async () => await cluster.close());

type Rpc = Awaited<ReturnType<typeof rpcTo>>["rpc"];

async function ask<T>(work: (rpc: Rpc) => Promise<T>): Promise<T> {
  await using agent = await rpcTo(door);
  return await work(agent.rpc);
}

const kill = (): Promise<string> =>
  cluster.lab.sh("agent-2", "kill -9 $(systemctl show -p MainPID --value convocate-agent)");

/** Has the agent killed and begins an operation at about that time; answers once the next agent serves. */
async function cutOff(work: (rpc: Rpc) => Promise<unknown>): Promise<"done" | "cut off"> {
  const outcome = await ask(async (rpc) => {
    const killed = kill();
    await sleep(Math.random() * WITHIN_MS);
    const begun = work(rpc).then(
      () => "done" as const,
      () => "cut off" as const,
    );
    await killed;
    return await begun;
  });
  await eventually("the next agent to serve", () => ask((rpc) => rpc.call("ping", {})).catch(() => false as const), {
    timeoutMs: 60_000,
  });
  return outcome;
}

/** Homes and metadata on the host are exactly those of the sessions that are listed. */
async function expectNothingHalf(): Promise<OpResult<"list">["sessions"]> {
  return await eventually("homes and metadata to be those of the listed sessions", async () => {
    const { sessions } = await ask((rpc) => rpc.call("list", {}, SLOW));
    const ids = sessions.map(({ id }) => id).sort();
    // A stale delete may have its home set aside: under that name it is whole.
    const homes = await cluster.lab.sh("agent-2", "ls -A /home/claude | grep -oE '[0-9a-f-]{36}$' | sort || true");
    const files = await cluster.lab.sh("agent-2", "ls -A /var/lib/convocate-agent/sessions | sort");
    const same =
      homes.split("\n").filter(Boolean).join() === ids.join() &&
      files.split("\n").filter(Boolean).join() === ids.map((id) => `${id}.json`).join();
    return same && sessions;
  });
}

test("an agent killed at any moment of create, clone and delete leaves all or nothing, and one more call ends it", async () => {
  const cut = { create: 0, clone: 0, delete: 0 };
  const count = (op: keyof typeof cut, outcome: "done" | "cut off"): void => {
    if (outcome === "cut off") cut[op] += 1;
  };
  for (let round = 0; round < ROUNDS; round++) {
    const request = { request_id: randomUUID(), name: `killed-${round}`, start: round % 2 === 0 };
    count("create", await cutOff((rpc) => rpc.call("create", request, SLOW)));
    await expectNothingHalf();
    const { id } = await ask((rpc) => rpc.call("create", request, SLOW));
    const home = `/home/claude/${id}`;
    await cluster.lab.sh("agent-2", `mkdir -p ${home}/tree && seq 200 | xargs -I{} sh -c 'echo {} > ${home}/tree/{}'`);

    const clone = { request_id: randomUUID(), id, name: `killed-copy-${round}` };
    count("clone", await cutOff((rpc) => rpc.call("clone", clone, SLOW)));
    await expectNothingHalf();
    const copy = (await ask((rpc) => rpc.call("clone", clone, SLOW))).session.id;
    expect(await cluster.lab.sh("agent-2", `cd /home/claude/${copy}/tree && ls | wc -l && cat * | sha256sum`)).toBe(
      await cluster.lab.sh("agent-2", `cd ${home}/tree && ls | wc -l && cat * | sha256sum`),
    );

    for (const gone of [id, copy]) {
      count("delete", await cutOff((rpc) => rpc.call("delete", { id: gone }, SLOW)));
      const listed = (await expectNothingHalf()).find((one) => one.id === gone);
      if (listed) await ask((rpc) => rpc.call("delete", { id: gone }, SLOW));
      const left = (await expectNothingHalf()).map((one): SessionId => one.id);
      expect(left).not.toContain(gone);
      expect(await cluster.lab.sh("agent-2", `docker ps -aq --filter name=convocate-session-${gone}`)).toBe("");
    }
  }
  console.log(`cut off: ${JSON.stringify(cut)} of ${ROUNDS} creates, ${ROUNDS} clones and ${2 * ROUNDS} deletes`);
  expect(cut.create + cut.clone + cut.delete).toBeGreaterThan(0);
}, 1_800_000);
