import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { TransferAgent } from "../../../test/agent/transfer-agent.js";
import { TransferStage, until } from "../../../test/agent/transfer-stage.js";
import type { Session } from "../../domain/index.js";
import { cloneTo } from "./clone.js";

let stage: TransferStage;
let here: TransferAgent;
let there: TransferAgent;
let session: Session;
beforeEach(async () => {
  stage = await TransferStage.open();
  ({ here, there, session } = stage);
});
afterEach(() => stage[Symbol.asyncDispose]());

describe("a clone to another agent", () => {
  test("is a new session there, and the one that runs here is not touched", async () => {
    execFileSync("mkfifo", [join(stage.home(here), "pipe")]);
    const { session: copy, skipped, skipped_total } = await cloneTo(session.id, "copy", here, there);
    expect(copy).toMatchObject({ name: "copy", port: 0, dns_name: null, agent_id: there.id, limits: session.limits });
    expect(copy.id).not.toBe(session.id);
    expect({ skipped, skipped_total }).toEqual({ skipped: [{ path: "pipe", kind: "fifo" }], skipped_total: 1 });
    expect(await stage.digestOf(there, copy.id)).toBe(await stage.digestOf(here));
    expect(stage.isRunning(here)).toBe(true);
    expect(here.effects).toEqual([]);
    expect(await stage.living()).toEqual([here]);
    expect(there.records.all()).toEqual([]);
  });

  test("that is cut leaves nothing there", async () => {
    const { peers } = stage.network({ at: 7, when: "before", what: "link" });
    await expect(cloneTo(session.id, "copy", ...peers)).rejects.toMatchObject({ code: "CONNECTION_LOST" });
    await there.settled();
    await until(() => readdirSync(join(there.root, "home")).length === 0);
    expect(await there.sessions.list()).toEqual([]);
    expect(await stage.living()).toEqual([here]);
  });
});
