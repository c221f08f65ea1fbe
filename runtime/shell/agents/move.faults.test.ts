import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { TransferAgent } from "../../../test/agent/transfer-agent.js";
import { TransferStage, until } from "../../../test/agent/transfer-stage.js";
import { finishMove, moveSession } from "./move.js";

let stage: TransferStage;
let here: TransferAgent;
let there: TransferAgent;
beforeEach(async () => {
  stage = await TransferStage.open();
  ({ here, there } = stage);
});
afterEach(() => stage[Symbol.asyncDispose]());

/** A test waits for nobody to come back. */
const quick = { patienceMs: 0 };

/** Runs a move with whatever the test broke, then says what must hold whatever happened. */
async function tryToMove(): Promise<void> {
  await moveSession(stage.session.id, here, there, quick).catch(() => undefined);
  for (const agent of [here, there]) agent.cut();
  for (const agent of [here, there]) if (!agent.alive) await agent.revive();
  await Promise.all([here.settled(), there.settled()]);
}

async function wholeOnOne(): Promise<void> {
  const [holder, ...others] = await stage.living();
  expect(others).toEqual([]);
  if (holder) expect(await stage.digestOf(holder, stage.session.id)).toBe(stage.digest);
  else {
    // Between the two: the source shows that it moved, and still has all of it.
    expect(await here.sessions.list()).toMatchObject([
      { id: stage.session.id, moved_to: there.id, status: { stale: true } },
    ]);
    expect(await stage.digestOf(here)).toBe(stage.digest);
    await expect(here.sessions.restart(stage.session.id, false)).rejects.toMatchObject({ code: "SESSION_MOVED" });
    await expect(here.sessions.delete(stage.session.id)).rejects.toMatchObject({ code: "SESSION_MOVED" });
  }
}

/** One more call, as the cluster makes it. */
async function moveAgain(): Promise<void> {
  for (let round = 0; ; round += 1) {
    const listed = (await here.sessions.list()).find(({ id }) => id === stage.session.id);
    if (!listed) break;
    if (listed.moved_to) {
      const look = await here.call("export", { phase: "look", id: stage.session.id }, 1000);
      if (look.state !== "moved") throw new Error(`it says ${look.state}`);
      await finishMove(stage.session.id, look, here, there, quick);
    } else await moveSession(stage.session.id, here, there, quick);
    expect(round).toBeLessThan(2);
  }
  expect(await stage.living()).toEqual([there]);
  expect(await stage.digestOf(there)).toBe(stage.digest);
  expect(stage.isRunning(there)).toBe(true);
  // What was set aside goes by itself.
  await until(() => readdirSync(join(here.root, "home")).length === 0);
  expect(readdirSync(join(here.root, "sessions"))).toEqual([]);
  expect(readdirSync(join(there.root, "home"))).toEqual([stage.session.id]);
}

/** How many effects a whole move has on each side; the sweeps below must reach them all. */
const EFFECTS = { here: 7, there: 10 };

describe("a move that is cut", () => {
  test("has as many effects as the sweep goes through", async () => {
    await moveSession(stage.session.id, here, there);
    expect(here.effects).toHaveLength(EFFECTS.here);
    expect(there.effects).toHaveLength(EFFECTS.there);
  });

  for (const side of ["here", "there"] as const)
    for (const when of ["before", "after"] as const)
      for (let at = 1; at <= EFFECTS[side]; at += 1)
        test(`by the death of the agent ${side} ${when} its effect ${at}: whole on one, and one more call finishes`, async () => {
          (side === "here" ? here : there).death = { at, when };
          await tryToMove();
          await wholeOnOne();
          await moveAgain();
        });
});

/** So many pieces more than one an archive may come in where the machine is busy. */
const PIECES = 2;
/** Steps that a move has on its way to the agents: calls, and writes on its channels. */
const STEPS = 12 + PIECES;

describe("a move over a network", () => {
  test("has as many steps as the sweep goes through", async () => {
    const { peers, steps } = stage.network(null);
    await moveSession(stage.session.id, ...peers);
    expect(steps()).toBeGreaterThanOrEqual(STEPS - PIECES);
    expect(steps()).toBeLessThanOrEqual(STEPS);
  });

  for (const what of ["link", "shell"] as const)
    for (const when of ["before", "after"] as const)
      for (let at = 1; at <= STEPS; at += 1)
        test(`that loses the ${what} ${when} step ${at}: whole on one, and one more call finishes`, async () => {
          const { peers } = stage.network({ at, when, what });
          await moveSession(stage.session.id, ...peers, quick).catch(() => undefined);
          await Promise.all([here.settled(), there.settled()]);
          await wholeOnOne();
          await moveAgain();
        });
});
