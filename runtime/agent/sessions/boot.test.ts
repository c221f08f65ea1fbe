import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { randomUUID } from "node:crypto";
import { createParams, SessionsRig } from "../../../test/agent/sessions-rig.js";
import { newAgentId, type SessionId } from "../../domain/index.js";
import { containerName } from "../containers/spec.js";

let rig: SessionsRig;
beforeEach(async () => {
  rig = await SessionsRig.start();
});
afterEach(() => rig[Symbol.dispose]());

const make = async (): Promise<SessionId> => (await rig.sessions.create(createParams({ start: true }))).id;
const stateOf = async (id: SessionId): Promise<string> => (await rig.sessions.get(id)).status.state;
/** The host goes down and comes up: every container has ended, and a new agent looks. */
const reboot = async (): Promise<void> => {
  for (const [name, { state }] of rig.docker.containers) if (state.running) rig.docker.die(name, 255);
  rig.boot = "second";
  await rig.open();
};

describe("a session and its host's boots", () => {
  test("one that ran is started again, and goes on with its conversation", async () => {
    const id = await make();
    await reboot();
    expect(await stateOf(id)).toBe("stopped");
    await rig.sessions.startAfterBoot(id);
    expect(await stateOf(id)).toBe("running");
    expect(rig.docker.containers.get(containerName(id))?.spec.Env).toContain("CONVOCATE_RESUME=1");
    expect(rig.store.get(id)?.runs_in_boot).toBe("second");
  });

  test("one whose former end was noted while its restart took long is started again all the same", async () => {
    const id = await make();
    rig.docker.beforeStart = () => rig.store.update(id, { runs_in_boot: null });
    await rig.sessions.restart(id, true);
    expect(rig.store.get(id)?.runs_in_boot).toBe("first");
  });

  test("one that was killed, or never ran, is not", async () => {
    const killed = await make();
    await rig.sessions.kill(killed);
    const never = (await rig.sessions.create(createParams())).id;
    await reboot();
    for (const id of [killed, never]) {
      await rig.sessions.startAfterBoot(id);
      expect(await stateOf(id)).toBe("stopped");
    }
  });

  test("one that was killed after the boot, before its turn came, is not", async () => {
    const id = await make();
    await reboot();
    await rig.sessions.kill(id);
    await rig.sessions.startAfterBoot(id);
    expect(await stateOf(id)).toBe("stopped");
  });

  test("one that moved to another agent, which was not confirmed before the boot, is not: it would run twice", async () => {
    const id = await make();
    const transfer = { id: randomUUID(), to: newAgentId(), was_running: true, since: new Date(0).toISOString() };
    await rig.store.update(id, { transfer: { state: "moved", ...transfer } });
    await reboot();
    await rig.sessions.startAfterBoot(id);
    expect(rig.docker.containers.get(containerName(id))?.state.running).toBe(false);
  });

  test("one that cannot be started now is still to run, so that the next agent tries", async () => {
    const id = await make();
    await reboot();
    rig.image = null;
    await expect(rig.sessions.startAfterBoot(id)).rejects.toMatchObject({ code: "IMAGE_NOT_SET" });
    expect(rig.store.get(id)?.runs_in_boot).toBe("first");
    rig.image = "convocate:2";
    await rig.sessions.startAfterBoot(id);
    expect(await stateOf(id)).toBe("running");
  });
});
